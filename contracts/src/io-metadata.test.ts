import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseUsd, usdInWords } from './amounts.js';
import { ioMetadata, readIoMetadata, readRequirements } from './io-metadata.js';
import { scheduling } from './requirements.js';

const read = (metadata: Record<string, string>) => readIoMetadata(ioMetadata.parse(metadata));

describe('io.* metadata', () => {
  test('that asks for a kind of accelerator sets one aside, if it does not say how many', () => {
    expect(read({ 'io.accelerator': 'H100' })).toMatchObject({ gpus: 1 });
    expect(read({ 'io.accelerator': 'H100', 'io.accelerator_count': '8' })).toMatchObject({ gpus: 8 });
    expect(read({ 'io.country': 'DE' })).toMatchObject({ gpus: null });
  });

  test('that is absent requires nothing and queues normally', () => {
    expect(read({})).toEqual({
      cpus: null,
      memoryBytes: null,
      gpus: null,
      requirements: {},
      scheduling: scheduling.parse({}),
      array: null,
    });
  });

  test('makes an array of a job', () => {
    expect(read({ 'io.array': '6' })).toMatchObject({ array: { size: 6, maxParallel: null } });
    expect(read({ 'io.array': '6', 'io.array_max_parallel': '2' })).toMatchObject({
      array: { size: 6, maxParallel: 2 },
    });
    expect(read({ 'io.array_max_parallel': '2' })).toMatchObject({ key: 'io.array_max_parallel' });
    for (const text of ['0', '-1', '1.5', '0-9', '1000001', '']) {
      expect(ioMetadata.safeParse({ 'io.array': text }).success).toBe(false);
    }
  });

  test('says every requirement in its own words', () => {
    expect(
      read({
        'io.cpus': '2.5',
        'io.memory': '8GiB',
        'io.accelerator_count': '4',
        'io.accelerator': 'H100, a100',
        'io.accelerator_vendor': 'NVIDIA',
        'io.accelerator_memory': '80GB',
        'io.interconnect': 'nvlink',
        'io.fabric': 'InfiniBand',
        'io.country': 'de,fr',
        'io.exclude_country': 'US',
        'io.region': 'eu-central',
        'io.near': '52.5,-13.4',
        'io.max_latency_ms': '12.5',
        'io.compliance': 'soc2,hipaa',
        'io.connectivity': 'high',
        'io.max_price_per_hour': '2.5',
        'io.prefer': 'price=2,speed=0.5',
        'io.priority': 'urgent',
        'io.preemptible': 'true',
        'io.deadline': '2027-01-31T18:00:00+01:00',
        'io.expected_duration': '1h30m',
        'io.cheap_price_per_hour': '0.80',
        'io.budget': '20',
      }),
    ).toEqual({
      cpus: 2.5,
      memoryBytes: 2 ** 33,
      gpus: 4,
      requirements: {
        accelerators: ['H100', 'a100'],
        acceleratorVendors: ['nvidia'],
        minDeviceMemoryBytes: 80e9,
        interconnect: 'nvlink',
        fabric: 'infiniband',
        countries: ['DE', 'FR'],
        excludeCountries: ['US'],
        regions: ['eu-central'],
        near: { latitudeDeg: 52.5, longitudeDeg: -13.4 },
        maxLatencyMs: 12.5,
        compliance: ['soc2', 'hipaa'],
        minConnectivity: 'high',
        maxMicroUsdPerHour: 2_500_000,
        preferences: { price: 2, speed: 0.5 },
      },
      scheduling: {
        priority: 'urgent',
        preemptible: true,
        deadline: '2027-01-31T18:00:00+01:00',
        expectedSeconds: 5_400,
        cheapMicroUsdPerHour: 800_000,
        budgetMicroUsd: 20_000_000,
      },
      array: null,
    });
  });

  test.each([
    ['io.cpus', '0'],
    ['io.accelerator_count', '65'],
    ['io.country', 'DEU'],
    ['io.country', 'DE,,FR'],
    ['io.compliance', 'pci'],
    ['io.connectivity', 'fast'],
    ['io.max_price_per_hour', '1.2345678'],
    ['io.max_price_per_hour', '-1'],
    ['io.accelerator_memory', 'much'],
    ['io.near', '91,0'],
    ['io.near', '52.5'],
    ['io.max_latency_ms', '10'],
    ['io.prefer', 'beauty=1'],
    ['io.prefer', 'price=-1'],
    ['io.priority', 'highest'],
    ['io.preemptible', 'yes'],
    ['io.deadline', 'tomorrow'],
    ['io.deadline', '2027-01-31T18:00:00'],
    ['io.expected_duration', 'long'],
    ['io.cheap_price_per_hour', '0.80'],
    ['io.budget', '$20'],
  ])('%s=%s is refused under its key, with the reason', (key, text) => {
    const parsed = ioMetadata.safeParse({ [key]: text });
    const fault = parsed.success ? readIoMetadata(parsed.data) : parsed.error.issues[0];
    const [where, why] =
      fault && 'key' in fault ? [fault.key, fault.message] : [fault && 'path' in fault ? fault.path[0] : '', 'zod'];
    expect([where, why === '']).toEqual([key, false]);
  });
});

test('a cluster’s requirements have the words of a job’s', () => {
  expect(readRequirements({ country: 'de', max_price_per_hour: '2' })).toEqual({
    countries: ['DE'],
    maxMicroUsdPerHour: 2_000_000,
  });
  expect(readRequirements({ priority: 'high' })).toMatchObject({ key: 'priority' });
  expect(readRequirements({ country: 'DEU' })).toMatchObject({ key: 'country' });
  expect(readRequirements({ near: 'home' })).toMatchObject({ key: 'near' });
});

test('an amount of dollars is the same after it was written and read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 14 }), microUsd => {
      expect(parseUsd(usdInWords(microUsd))).toBe(microUsd);
    }),
  );
});
