import type { JoiningMachine } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { shortfalls } from './minimum.js';

const GiB = 2 ** 30;
const gpu = (index: number, memoryBytes = 24 * GiB) => ({
  index,
  uuid: `GPU-${index}`,
  vendor: 'nvidia' as const,
  model: 'NVIDIA GeForce RTX 4090',
  memoryBytes,
  simulated: false,
});
const machine = (changes: Partial<JoiningMachine> = {}): JoiningMachine => ({
  hostname: 'box',
  os: 'Linux',
  arch: 'x64',
  cpuModel: 'any',
  cpus: 8,
  memoryBytes: 32 * GiB,
  diskFreeBytes: 100 * GiB,
  devices: [],
  ...changes,
});

describe('shortfalls', () => {
  test('a machine that has enough lacks nothing, also one that shows a little less than it was sold with', () => {
    expect(shortfalls(machine())).toEqual([]);
    expect(shortfalls(machine({ cpus: 2, memoryBytes: 3.8 * GiB, diskFreeBytes: 10 * GiB }))).toEqual([]);
    expect(shortfalls(machine({ devices: [gpu(0), gpu(1)] }))).toEqual([]);
  });

  test('says all that is lacking, with what would do', () => {
    expect(shortfalls(machine({ cpus: 1, memoryBytes: 2 * GiB, diskFreeBytes: 3 * GiB }))).toEqual([
      'it has 1 CPUs, and 2 are needed',
      'it has 2.0 GiB of memory, and 4.0 GiB are needed',
      '3.0 GiB of its disk are free, and 10.0 GiB are needed',
    ]);
  });

  test('eight accelerators need a host that can feed them, and each its memory', () => {
    const devices = Array.from({ length: 8 }, (_, index) => gpu(index));
    expect(shortfalls(machine({ cpus: 4, memoryBytes: 8 * GiB, devices }))).toEqual([
      'it has 4 CPUs, and 8 are needed for 8 accelerators',
      'it has 8.0 GiB of memory, and 16.0 GiB are needed for 8 accelerators',
    ]);
    expect(shortfalls(machine({ devices: [gpu(3, 4 * GiB)] }))).toEqual([
      'its accelerator 3 (NVIDIA GeForce RTX 4090) has 4.0 GiB of memory, and 6.0 GiB are needed',
    ]);
  });
});
