import type { Device } from '@iocloud/contracts';
import { acceleratorModel } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { accelerators } from './accelerators.js';
import { recognised } from './demand.js';

const GiB = 2 ** 30;
const device = (more: Partial<Device>): Device => ({
  index: 0,
  uuid: 'gpu-0',
  vendor: 'nvidia',
  model: 'NVIDIA H100 80GB HBM3',
  memoryBytes: 79.6 * GiB,
  simulated: false,
  ...more,
});

describe('what a device is recognised as', () => {
  test('is its model with the figures of the data sheet', () => {
    expect(recognised(device({}))).toMatchObject({
      slug: 'h100-sxm',
      vendor: 'nvidia',
      memoryBytes: 80 * GiB,
      fp16Tflops: 989,
      interconnect: { kind: 'nvlink', gigabytesPerSecond: 900 },
      generation: 'Hopper',
    });
  });

  test('is as the contract has it, for every model by each of its names', () => {
    for (const { slug, aliases, memoryBytes } of accelerators) {
      for (const model of aliases) {
        const found = recognised(device({ model, memoryBytes: memoryBytes ?? 64 * GiB }));
        expect(acceleratorModel.parse(found).slug).toBe(slug);
      }
    }
  });

  test('is nothing for a name that is not in the table, or with a memory that the model has not', () => {
    expect(recognised(device({ model: 'NVIDIA T-1000 Terminator' }))).toBeNull();
    expect(recognised(device({ memoryBytes: 24 * GiB }))).toBeNull();
  });

  test('is whom it stands for, of a simulated device', () => {
    expect(recognised(device({ model: 'H100', memoryBytes: 80 * GiB, simulated: true }))?.slug).toBe('h100-sxm');
    expect(recognised(device({ model: 'H100', memoryBytes: 80 * GiB, simulated: false }))).toBeNull();
  });
});
