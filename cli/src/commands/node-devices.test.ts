import type { AcceleratorModel, Device, Node } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { devicesInWords, deviceTables } from './node-devices.js';

const GiB = 2 ** 30;
const h100: AcceleratorModel = {
  slug: 'h100-sxm',
  name: 'H100 SXM',
  vendor: 'nvidia',
  rayType: 'H100',
  memoryBytes: 80 * GiB,
  fp16Tflops: 989,
  bandwidthGBps: 3350,
  interconnect: { kind: 'nvlink', gigabytesPerSecond: 900 },
  generation: 'Hopper',
  year: 2022,
  source: { title: 'data sheet', url: 'https://example.org/' },
};
const device = (index: number, model: string): Device => ({
  index,
  uuid: `gpu-${index}`,
  vendor: 'nvidia',
  model,
  memoryBytes: 80 * GiB,
  simulated: index === 2,
});
const node = {
  inventory: {
    devices: [device(0, 'NVIDIA H100 80GB HBM3'), device(1, 'NVIDIA H100 80GB HBM3'), device(2, 'Toaster')],
  },
  accelerators: [
    { index: 0, model: h100 },
    { index: 1, model: h100 },
    { index: 2, model: null },
  ],
  devicesLeased: [1],
} as unknown as Node;

test('a list of machines says what their devices were recognised as', () => {
  expect(devicesInWords(node)).toBe('2 × NVIDIA H100 80GB HBM3 = h100-sxm, 1 × Toaster [simulated] = not in the table');
});

test('a machine shows each device with its model, and each model with its figures', () => {
  expect(deviceTables(node).join('\n\n')).toBe(
    [
      'DEVICE  MODEL                  RECOGNISED AS     MEMORY  LEASED  REAL',
      '0       NVIDIA H100 80GB HBM3  h100-sxm          80 GiB  no      yes',
      '1       NVIDIA H100 80GB HBM3  h100-sxm          80 GiB  yes     yes',
      '2       Toaster                not in the table  80 GiB  no      no, SIMULATED',
      '',
      'RECOGNISED AS  MAKER   NAME      MEMORY  FP16/BF16   INTERCONNECT      GENERATION',
      'h100-sxm       nvidia  H100 SXM  80 GiB  989 TFLOPS  nvlink, 900 GB/s  Hopper, 2022',
    ].join('\n'),
  );
  const none = { ...node, inventory: { ...node.inventory, devices: [] }, accelerators: [] } as unknown as Node;
  expect(deviceTables(none)).toEqual([]);
});
