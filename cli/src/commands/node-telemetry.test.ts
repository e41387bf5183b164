import type { NodeTelemetry } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { telemetryDetails, telemetryTable } from './node-telemetry.js';

const GiB = 2 ** 30;
const now = Date.parse('2026-11-26T12:00:20Z');
const sample: NodeTelemetry = {
  at: '2026-11-26T12:00:00.000Z',
  machine: {
    cpuUsage: 0.25,
    load1: 3.14,
    memoryAvailableBytes: 12 * GiB,
    diskFreeBytes: 50 * GiB,
    diskTotalBytes: 100 * GiB,
    receivedBytes: 3 * GiB,
    sentBytes: null,
    agentCpuSeconds: 12.34,
    agentMemoryBytes: 58 * 2 ** 20,
  },
  devices: [
    {
      index: 0,
      utilization: 0.97,
      memoryUsedBytes: 70 * GiB,
      temperatureCelsius: 84,
      powerWatts: 691.4,
      powerLimitWatts: 700,
      throttled: ['power', 'thermal'],
      eccCorrected: 12,
      eccUncorrected: 0,
      xids: { 79: 2 },
    },
    {
      index: 1,
      utilization: null,
      memoryUsedBytes: null,
      temperatureCelsius: null,
      powerWatts: null,
      powerLimitWatts: null,
      throttled: null,
      eccCorrected: null,
      eccUncorrected: null,
      xids: null,
    },
  ],
};

test('shows the machine and each device; what is not told is a dash', () => {
  expect(telemetryDetails({ name: 'box' }, sample, now)).toBe(
    [
      'machine     box, 20s ago',
      'processors  25 % busy, load 3.1',
      'memory      12 GiB available',
      'disk        50 GiB of 100 GiB free',
      'network     3 GiB received, - sent since it booted',
      'agent       58 MiB of memory, 12.3 s of processor time',
      '',
      'DEVICE  BUSY  MEMORY  TEMPERATURE  POWER         SLOWED BY       MEMORY ERRORS        XID',
      '0       97 %  70 GiB  84 °C        691 of 700 W  power, thermal  12 corrected, 0 not  2 × 79',
      '1       -     -       -            -             -               -                    -',
    ].join('\n'),
  );
  expect(telemetryDetails({ name: 'box' }, { ...sample, devices: [] }, now)).toContain('no accelerator of it');
});

test('a course shows the worst device of each sample', () => {
  expect(telemetryTable([sample], now)).toBe(
    [
      'AGE  PROCESSORS  MEMORY AVAILABLE  BUSIEST DEVICE  HOTTEST DEVICE',
      '20s  25 %        12 GiB            97 %            84 °C',
    ].join('\n'),
  );
});
