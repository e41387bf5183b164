import { describe, expect, test } from '@jest/globals';
import { parseAmd, parseNvidia, parseRocm, simulated } from './devices.js';

describe('parseNvidia', () => {
  test('reads one device a line', () => {
    const output =
      '0, GPU-5a6c0b1e-aaaa-bbbb-cccc-0123456789ab, NVIDIA H100 80GB HBM3, 81559\n' +
      '1, GPU-77f0a7de-aaaa-bbbb-cccc-0123456789ab, NVIDIA GeForce RTX 4090, 24564\n';
    expect(parseNvidia(output)).toEqual([
      {
        index: 0,
        uuid: 'GPU-5a6c0b1e-aaaa-bbbb-cccc-0123456789ab',
        vendor: 'nvidia',
        model: 'NVIDIA H100 80GB HBM3',
        memoryBytes: 81_559 * 2 ** 20,
        simulated: false,
      },
      expect.objectContaining({ index: 1, model: 'NVIDIA GeForce RTX 4090' }),
    ]);
  });

  test('a machine with the driver and no device has none', () => {
    expect(parseNvidia('No devices were found\n')).toEqual([]);
  });

  test.each([
    'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.',
    '0, GPU-1, NVIDIA H100, [N/A]',
    '0, GPU-1',
    'x, GPU-1, NVIDIA H100, 81559',
  ])('reports %p instead of skipping it', output => {
    expect(() => parseNvidia(output)).toThrow('nvidia-smi printed a line that is no device');
  });
});

describe('parseRocm', () => {
  test('reads the cards in the order of their indices', () => {
    const card = (id: string) => ({
      'Unique ID': id,
      'VRAM Total Memory (B)': '206141652992',
      'VRAM Total Used Memory (B)': '296353792',
      'Card Series': 'AMD Instinct MI300X',
      'Card Model': '0x74a1',
      'Card SKU': 'M3000100',
    });
    const output = JSON.stringify({ card1: card('0xb'), card0: card('0xa'), system: { 'Driver version': '6.8.5' } });
    expect(parseRocm(`WARNING: AMD GPU device(s) is/are in a low-power state.\n${output}`)).toEqual([
      {
        index: 0,
        uuid: '0xa',
        vendor: 'amd',
        model: 'AMD Instinct MI300X',
        memoryBytes: 206_141_652_992,
        simulated: false,
      },
      expect.objectContaining({ index: 1, uuid: '0xb' }),
    ]);
  });

  test('reports what it cannot read', () => {
    expect(() => parseRocm('no JSON')).toThrow('rocm-smi printed no JSON object');
    expect(() => parseRocm('{"card0":{"Card Series":"MI300X"}}')).toThrow('neither model nor memory of card0');
  });
});

describe('parseAmd', () => {
  const gpu = {
    gpu: 0,
    asic: { market_name: 'AMD Instinct MI300X', vendor_id: '0x1002', asic_serial: '0x1D4A5F3B2C' },
    vram: { type: 'HBM3', vendor: 'SAMSUNG', size: { value: 196_592, unit: 'MB' } },
  };
  test.each([
    ['a list', [gpu]],
    ['an object since ROCm 7', { gpu_data: [gpu] }],
  ])('reads %s', (_shape, value) => {
    expect(parseAmd(JSON.stringify(value))).toEqual([
      {
        index: 0,
        uuid: '0x1D4A5F3B2C',
        vendor: 'amd',
        model: 'AMD Instinct MI300X',
        memoryBytes: 196_592 * 2 ** 20,
        simulated: false,
      },
    ]);
  });

  test('reports what it cannot read', () => {
    expect(() => parseAmd('ERROR: no driver')).toThrow('amd-smi printed no list');
    expect(() => parseAmd('[{"gpu":3}]')).toThrow('neither model nor memory of device 3');
  });
});

test('simulated devices are marked, and follow the real ones', () => {
  const devices = simulated([{ vendor: 'nvidia', model: 'NVIDIA H100 80GB HBM3', memoryBytes: 85e9, count: 2 }], 4);
  expect(devices.map(device => [device.index, device.simulated])).toEqual([
    [4, true],
    [5, true],
  ]);
});
