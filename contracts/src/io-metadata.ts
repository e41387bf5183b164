/**
 * The `io.*` metadata by which a submission states what Ray has no field for. Metadata values are strings on Ray's wire,
 * so each key parses its own text.
 */
import { z } from 'zod';
import { parseDuration, parseMemory, parseUsd } from './amounts.js';
import { priorityClass, type Requirements, requirements, type Scheduling, scheduling } from './requirements.js';
import { retryMetadata } from './retry-policy.js';

interface Key {
  describe: string;
  /** What the text means, or null when it means nothing. */
  parse(text: string): unknown;
  expected: string;
}

const commaList = (text: string) => text.split(',').map(item => item.trim());
const list = (describe: string, expected: string, each = (item: string) => item): Key => ({
  describe,
  expected,
  parse: text => (commaList(text).every(item => item !== '') ? commaList(text).map(each) : null),
});
const upper = (text: string) => text.toUpperCase();
const lower = (text: string) => text.toLowerCase();
const usd = (describe: string): Key => ({ describe, expected: 'dollars such as 2.50', parse: parseUsd });

/** What is set aside for a job beyond what its entrypoint asks for: for the tasks that it starts. */
const amountKeys = {
  'io.cpus': [
    'cpus',
    { describe: 'logical CPUs set aside for the job and its tasks', expected: 'a number such as 4', parse: positive },
  ],
  'io.memory': [
    'memoryBytes',
    { describe: 'memory set aside for the job and its tasks', expected: 'an amount such as 8GiB', parse: parseMemory },
  ],
  'io.accelerator_count': [
    'gpus',
    {
      describe: 'accelerators set aside for the job and its tasks; 1 where a key asks for some kind of them',
      expected: 'a whole number from 1 to 64',
      parse: (text: string) => (/^([1-9]|[1-5]\d|6[0-4])$/.test(text) ? Number(text) : null),
    },
  ],
} as const satisfies Record<string, readonly [string, Key]>;

/** Keys that become requirements, by the requirement's name. */
const requirementKeys = {
  'io.accelerator': [
    'accelerators',
    list('models or families of accelerators, any of them', 'such as H100 or H100,A100'),
  ],
  'io.accelerator_vendor': [
    'acceleratorVendors',
    list('makers of accelerators, any of them', 'such as nvidia,amd', lower),
  ],
  'io.accelerator_memory': [
    'minDeviceMemoryBytes',
    { describe: 'memory of each accelerator, at least', expected: 'an amount such as 80GB', parse: parseMemory },
  ],
  'io.interconnect': [
    'interconnect',
    { describe: 'between accelerators of a machine, at least', expected: 'pcie or nvlink', parse: lower },
  ],
  'io.fabric': ['fabric', { describe: 'between machines', expected: 'ethernet, roce or infiniband', parse: lower }],
  'io.country': ['countries', list('countries that will do (ISO 3166-1 alpha-2)', 'such as DE,FR', upper)],
  'io.exclude_country': ['excludeCountries', list('countries that will not do', 'such as US', upper)],
  'io.region': ['regions', list('regions that will do', 'such as eu-central', lower)],
  'io.near': [
    'near',
    {
      describe: 'latitude and longitude that latency counts from',
      expected: 'degrees such as 52.5,13.4',
      parse: place,
    },
  ],
  'io.max_latency_ms': [
    'maxLatencyMs',
    { describe: 'estimated round trip to io.near, at most', expected: 'a number of milliseconds', parse: number },
  ],
  'io.compliance': ['compliance', list('certificates of the supplier, all of them', 'such as soc2,hipaa', lower)],
  'io.connectivity': [
    'minConnectivity',
    { describe: 'connectivity tier, at least', expected: 'low, medium, high or ultra', parse: lower },
  ],
  'io.max_price_per_hour': ['maxMicroUsdPerHour', usd('price ceiling per hour in USD')],
  'io.prefer': [
    'preferences',
    {
      describe: 'weights of price, speed, place and reputation among the machines that will do',
      expected: 'such as price=2,speed=1',
      parse: weights,
    },
  ],
} as const satisfies Record<string, readonly [keyof Requirements, Key]>;

/** Keys that say how the job is queued, by the name in `scheduling`. */
const schedulingKeys = {
  'io.priority': ['priority', { describe: 'priority class', expected: priorityClass.options.join(', '), parse: lower }],
  'io.preemptible': [
    'preemptible',
    {
      describe: 'true: may be stopped and queued again for more urgent work',
      expected: 'true or false',
      parse: (text: string) => (text === 'true' ? true : text === 'false' ? false : null),
    },
  ],
  'io.deadline': [
    'deadline',
    {
      describe: 'when it should have ended',
      expected: 'ISO 8601 with its zone, such as 2027-01-31T18:00:00Z',
      parse: upper,
    },
  ],
  'io.expected_duration': [
    'expectedSeconds',
    { describe: 'how long it will run, about', expected: 'a time such as 90s, 10m or 1h30m', parse: parseDuration },
  ],
  'io.cheap_price_per_hour': [
    'cheapMicroUsdPerHour',
    usd('wait for this price in USD until the deadline forces a start'),
  ],
  'io.budget': ['budgetMicroUsd', usd('stop the job rather than spend more, in USD')],
} as const satisfies Record<string, readonly [keyof Scheduling, Key]>;

function place(text: string) {
  const [latitudeDeg, longitudeDeg, ...rest] = commaList(text).map(number);
  return rest.length === 0 && latitudeDeg != null && longitudeDeg != null ? { latitudeDeg, longitudeDeg } : null;
}

function number(text: string): number | null {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

function positive(text: string): number | null {
  const value = number(text);
  return value !== null && value > 0 && value <= 1024 ? value : null;
}

function weights(text: string) {
  const pairs = commaList(text).map(item => item.split('='));
  const isPair = ([name, weight, ...rest]: string[]) => name && weight && number(weight) !== null && rest.length === 0;
  return pairs.every(isPair) ? Object.fromEntries(pairs.map(([name, weight]) => [name, Number(weight)])) : null;
}

/** The largest array that anybody can be allowed; what is allowed is the control plane's configuration. */
export const largestArray = 1_000_000;
const wholeNumber = (text: string) =>
  /^[1-9]\d{0,6}$/.test(text) && Number(text) <= largestArray ? Number(text) : null;

/** Keys that make an array of a job. */
const arrayKeys = {
  'io.array': [
    'size',
    {
      describe: 'run the job so many times, each with its own IOCLOUD_ARRAY_INDEX from 0',
      expected: 'a whole number from 1',
      parse: wholeNumber,
    },
  ],
  'io.array_max_parallel': [
    'maxParallel',
    { describe: 'so many indices of the array at once at most', expected: 'a whole number from 1', parse: wholeNumber },
  ],
} as const satisfies Record<string, readonly [string, Key]>;
export const arrayMetadataKeys = Object.keys(arrayKeys) as (keyof typeof arrayKeys)[];

const texts = (keys: Record<string, readonly [string, Key]>) =>
  Object.fromEntries(
    Object.entries(keys).map(([name, [, key]]) => [
      name,
      z
        .string()
        .refine(text => key.parse(text) !== null, `expected ${key.expected}`)
        .optional()
        .describe(`${key.describe}; ${key.expected}`),
    ]),
  );

export const ioMetadata = z
  .object({
    'io.cluster': z.string().min(1).max(63).optional().describe('name or id of the cluster to run on'),
    ...retryMetadata,
    ...(texts(arrayKeys) as Record<keyof typeof arrayKeys, z.ZodOptional<z.ZodString>>),
    ...(texts(amountKeys) as Record<keyof typeof amountKeys, z.ZodOptional<z.ZodString>>),
    ...(texts(requirementKeys) as Record<keyof typeof requirementKeys, z.ZodOptional<z.ZodString>>),
    ...(texts(schedulingKeys) as Record<keyof typeof schedulingKeys, z.ZodOptional<z.ZodString>>),
    'io.wait_for_machines': z
      .enum(['true', 'false'])
      .optional()
      .describe('true: queue the job even though no machine that is enrolled meets its requirements; default false'),
  })
  .strict()
  .meta({ id: 'IoMetadata' });
export type IoMetadata = z.infer<typeof ioMetadata>;

/** What a job asks for by metadata. An amount that is null was not stated. */
export interface Asked {
  cpus: number | null;
  memoryBytes: number | null;
  gpus: number | null;
  requirements: Requirements;
  scheduling: Scheduling;
  /** Null: the job is no array. */
  array: { size: number; maxParallel: number | null } | null;
}

const aboutAccelerators = ['accelerators', 'acceleratorVendors', 'minDeviceMemoryBytes', 'interconnect'] as const;

/**
 * What the metadata says. Values that parse but are not allowed (a country of three letters, a negative weight) come back
 * as the key that they stand in and what is wrong with them.
 */
export function readIoMetadata(metadata: IoMetadata): Asked | { key: string; message: string } {
  const required = readKeys(requirementKeys, metadata, requirements);
  if ('key' in required) return required;
  const queued = readKeys(schedulingKeys, metadata, scheduling);
  if ('key' in queued) return queued;
  const arrayNumber = (key: keyof typeof arrayKeys) => {
    const text = metadata[key];
    return text === undefined ? null : arrayKeys[key][1].parse(text);
  };
  const amount = (key: keyof typeof amountKeys) => {
    const text = metadata[key];
    return text === undefined ? null : amountKeys[key][1].parse(text);
  };
  const [size, maxParallel] = [arrayNumber('io.array'), arrayNumber('io.array_max_parallel')];
  if (size === null && maxParallel !== null) {
    return { key: 'io.array_max_parallel', message: 'stands beside io.array, which says how many indices there are' };
  }
  const wantsAccelerators = aboutAccelerators.some(name => required.value[name] !== undefined);
  return {
    cpus: amount('io.cpus'),
    memoryBytes: amount('io.memory'),
    gpus: amount('io.accelerator_count') ?? (wantsAccelerators ? 1 : null),
    requirements: required.value,
    scheduling: queued.value,
    array: size === null ? null : { size, maxParallel },
  };
}

/** Requirements from the same keys less their `io.`, as `iocloud cluster create --require country=DE` has them. */
export function readRequirements(pairs: Record<string, string>): Requirements | { key: string; message: string } {
  for (const [name, text] of Object.entries(pairs)) {
    const known = Object.entries(requirementKeys).find(([key]) => key === `io.${name}`);
    if (!known) {
      const names = Object.keys(requirementKeys).map(key => key.slice('io.'.length));
      return { key: name, message: `is no requirement; there are ${names.join(', ')}` };
    }
    if (known[1][1].parse(text) === null) return { key: name, message: `expected ${known[1][1].expected}` };
  }
  const metadata = Object.fromEntries(Object.entries(pairs).map(([name, text]) => [`io.${name}`, text]));
  const read = readKeys(requirementKeys, metadata, requirements);
  return 'key' in read ? { ...read, key: read.key.slice('io.'.length) } : read.value;
}

function readKeys<T>(
  keys: Record<string, readonly [string, Key]>,
  metadata: IoMetadata,
  schema: z.ZodType<T>,
): { value: T } | { key: string; message: string } {
  const given = Object.entries(keys).flatMap(([name, [field, key]]) => {
    const text = metadata[name as keyof IoMetadata];
    return text === undefined ? [] : [[field, key.parse(text)] as const];
  });
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  const [key] = Object.entries(keys).find(([, [field]]) => field === issue?.path[0]) ?? [''];
  return { key, message: issue?.message ?? '' };
}
