import { describe, expect, test } from '@jest/globals';
import { normalBusId, readAmd, readNvidia, readRocm } from './devices.js';

describe('readNvidia', () => {
  test('reads a device at work, and why it is slowed down', () => {
    const line = '0, 00000000:3B:00.0, 97, 70123, 84, 691.42, 700.00, 0x0000000000000064, 12, 1';
    expect(readNvidia(`${line}\n`)).toEqual([
      {
        busId: '0:3b:00',
        telemetry: {
          index: 0,
          utilization: 0.97,
          memoryUsedBytes: 70_123 * 2 ** 20,
          temperatureCelsius: 84,
          powerWatts: 691.42,
          powerLimitWatts: 700,
          throttled: ['power', 'thermal'],
          eccCorrected: 12,
          eccUncorrected: 1,
          xids: null,
        },
      },
    ]);
  });

  test('an idle device with clocks that somebody set is not throttled', () => {
    const [reading] = readNvidia('1, 00000000:AF:00.0, 0, 4, 31, 60.1, 700.00, 0x0000000000000003, 0, 0');
    expect(reading?.telemetry.throttled).toEqual([]);
  });

  test('what a device does not know is null', () => {
    const line = '0, 00000000:01:00.0, [N/A], 512, 40, [Not Supported], [N/A], [Unknown Error], [N/A], [N/A]';
    expect(readNvidia(line)[0]?.telemetry).toMatchObject({
      utilization: null,
      powerWatts: null,
      powerLimitWatts: null,
      throttled: null,
      eccCorrected: null,
      memoryUsedBytes: 512 * 2 ** 20,
    });
  });

  test.each(['NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.', '0, 1, 2'])(
    'reports %p instead of skipping it',
    output => expect(() => readNvidia(output)).toThrow('nvidia-smi printed a line that is no device'),
  );

  test('the driver and the kernel name one device alike', () => {
    expect(normalBusId('00000000:3B:00.0')).toBe(normalBusId('0000:3b:00'));
    expect(normalBusId('00010000:3B:00.0')).not.toBe(normalBusId('0000:3b:00'));
  });
});

describe('readAmd', () => {
  const entry = {
    gpu: 1,
    usage: { gfx_activity: { value: 40, unit: '%' }, umc_activity: 'N/A' },
    power: { socket_power: { value: 130, unit: 'W' }, throttle_status: 'UNTHROTTLED' },
    temperature: { edge: 'N/A', hotspot: { value: 43, unit: 'C' } },
    mem_usage: { used_vram: { value: 283, unit: 'MB' } },
    ecc: { total_correctable_count: 3, total_uncorrectable_count: 0 },
  };
  test.each([
    ['a list', [entry]],
    ['an object since ROCm 7', { gpu_data: [entry] }],
  ])('reads %s', (_shape, value) => {
    expect(readAmd(`WARNING: something\n${JSON.stringify(value)}`)).toEqual([
      {
        busId: null,
        telemetry: {
          index: 1,
          utilization: 0.4,
          memoryUsedBytes: 283 * 2 ** 20,
          temperatureCelsius: 43,
          powerWatts: 130,
          powerLimitWatts: null,
          throttled: [],
          eccCorrected: 3,
          eccUncorrected: 0,
          xids: null,
        },
      },
    ]);
  });
  test('a device that tells nothing has nothing, and what is no answer is said', () => {
    expect(readAmd('[{"gpu":0}]')[0]?.telemetry).toMatchObject({ utilization: null, throttled: null });
    expect(() => readAmd('ERROR')).toThrow('amd-smi printed no JSON');
    expect(() => readAmd('[{"usage":{}}]')).toThrow('without the number of its device');
  });
});

test('readRocm reads the cards and leaves the rest', () => {
  const card = {
    'GPU use (%)': '7',
    'VRAM Total Used Memory (B)': '296353792',
    'Temperature (Sensor edge) (C)': '38.0',
    'Temperature (Sensor junction) (C)': '41.0',
    'Current Socket Graphics Package Power (W)': '132.0',
  };
  expect(readRocm(JSON.stringify({ card2: card, system: {} }))).toEqual([
    {
      busId: null,
      telemetry: expect.objectContaining({
        index: 2,
        utilization: 0.07,
        memoryUsedBytes: 296_353_792,
        temperatureCelsius: 41,
        powerWatts: 132,
        throttled: null,
      }),
    },
  ]);
});
