/** Written by e2e/bench/verification/record.ts. */
import type { Recorded } from '../recorded.js';

export const recording: Recorded = {
  model: 'AMD EPYC',
  cpus: 1,
  work: { rowLength: 256, passes: 6, products: 4, blocks: 256 },
  machine:
    '2 CPUs, 24 GiB, virtual, Linux 6.18.44-fc-v657; load average before 10.4, 12.6, 15.4; one of its processors, with priority over all else (autogroup -20), as the machine was in use',
  date: '2026-11-26',
  quietMs: [
    987, 1110, 939, 1012, 1003, 952, 1080, 1010, 1027, 1062, 1014, 1101, 1084, 863, 941, 1070, 1081, 894, 816, 822, 802,
    858, 870, 897, 902, 947, 793, 871, 881, 758, 769, 867, 837, 969, 1037, 869, 860, 862, 884, 912, 821, 788, 872, 852,
    899, 818, 874, 840,
  ],
  neighbourMs: [
    1266, 1236, 1313, 1318, 1395, 1346, 1277, 1281, 1385, 1246, 1274, 1237, 1098, 1253, 1271, 1262, 1247, 1248, 1304,
    1475, 1199, 1229, 1336, 1243,
  ],
  sharedMs: [
    1811, 2062, 1937, 1778, 1863, 1902, 1953, 1968, 2149, 1869, 1811, 1835, 1812, 2058, 1942, 1781, 1857, 1907, 1950,
    1958, 2194, 1865, 1820, 1840,
  ],
  slowest: 1.6,
};
