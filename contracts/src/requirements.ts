/**
 * What work demands of the machines that it may run on, and how it shall be queued: the same words for jobs (which state
 * them as `io.*` metadata) and for clusters. A list means "any of these", except `compliance`, which means all of them.
 * Money is in micro-dollars: 1 USD = 1,000,000.
 */
import { z } from 'zod';

/** ISO 3166-1 alpha-2. */
export const country = z.string().regex(/^[A-Z]{2}$/, 'two capital letters, ISO 3166-1 alpha-2, such as DE');
/** The supplier's name of an area, such as eu-central. */
export const region = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens');
export const acceleratorVendor = z.enum(['nvidia', 'amd']);
export const compliance = z.enum(['soc2', 'hipaa', 'gdpr', 'iso27001', 'e2e-encrypted']).meta({ id: 'Compliance' });
/** From the slowest to the fastest. */
export const connectivityTiers = ['low', 'medium', 'high', 'ultra'] as const;
export const connectivity = z
  .enum(connectivityTiers)
  .describe('download and upload of at least: low 10, medium 100, high 1,000, ultra 10,000 Mbit/s')
  .meta({ id: 'Connectivity' });
/** Between the accelerators of one machine. */
export const interconnect = z
  .enum(['pcie', 'nvlink'])
  .describe("nvlink: the maker's direct links, NVLink or Infinity Fabric; it meets a wish for pcie too")
  .meta({ id: 'Interconnect' });
/** Between machines. */
export const fabric = z.enum(['ethernet', 'roce', 'infiniband']).meta({ id: 'Fabric' });
export const microUsd = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

export const coordinates = z
  .strictObject({ latitudeDeg: z.number().min(-90).max(90), longitudeDeg: z.number().min(-180).max(180) })
  .meta({ id: 'Coordinates' });
export type Coordinates = z.infer<typeof coordinates>;

export const preferences = z
  .strictObject({
    price: z.number().min(0).max(100).optional().describe('cheap'),
    speed: z.number().min(0).max(100).optional().describe('fast: FP16/BF16 throughput of the accelerator'),
    place: z.number().min(0).max(100).optional().describe('close to `near`'),
    reputation: z.number().min(0).max(100).optional().describe('seldom failed'),
  })
  .describe('weights of what is preferred among the machines that will do; what is absent keeps its default weight')
  .meta({ id: 'Preferences' });
export type Preferences = z.infer<typeof preferences>;

const listOf = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(64).optional();

export const requirements = z
  .strictObject({
    accelerators: listOf(z.string().min(1).max(64)).describe(
      'models or families of the table of accelerators, for example H100 or A100; all accelerators of a machine’s lease',
    ),
    acceleratorVendors: listOf(acceleratorVendor),
    minDeviceMemoryBytes: z.int().min(1).optional().describe('bytes of memory of each accelerator'),
    interconnect: interconnect.optional().describe('at least, between the accelerators of one machine'),
    fabric: fabric.optional().describe('between machines'),
    countries: listOf(country),
    excludeCountries: listOf(country),
    regions: listOf(region),
    near: coordinates.optional().describe('the place that latency counts from'),
    maxLatencyMs: z.number().positive().max(10_000).optional().describe('estimated round trip to `near`'),
    compliance: listOf(compliance).describe('certificates that the machine’s supplier must have, all of them'),
    minConnectivity: connectivity.optional(),
    maxMicroUsdPerHour: microUsd.optional().describe('price of all that is leased together, micro-USD per hour'),
    preferences: preferences.optional(),
  })
  .refine(({ maxLatencyMs, near }) => maxLatencyMs === undefined || near !== undefined, {
    error: 'a latency needs the place that it counts from: near',
    path: ['maxLatencyMs'],
  })
  .meta({ id: 'Requirements' });
export type Requirements = z.infer<typeof requirements>;

/** From the one that waits longest to the one that goes first. */
export const priorityClasses = ['low', 'normal', 'high', 'urgent'] as const;
export const priorityClass = z.enum(priorityClasses).meta({ id: 'PriorityClass' });
export type PriorityClass = z.infer<typeof priorityClass>;

export const scheduling = z
  .strictObject({
    priority: priorityClass.default('normal'),
    preemptible: z.boolean().default(false).describe('may be stopped and queued again for more urgent work'),
    deadline: z.iso.datetime({ offset: true }).nullable().default(null).describe('when it should have ended'),
    expectedSeconds: z.int().min(1).max(31_536_000).nullable().default(null).describe('how long it will run, about'),
    cheapMicroUsdPerHour: microUsd
      .nullable()
      .default(null)
      .describe('wait for this price until the deadline forces a start'),
    budgetMicroUsd: microUsd.nullable().default(null).describe('stop the job rather than spend more, micro-USD'),
  })
  .refine(({ cheapMicroUsdPerHour, deadline }) => cheapMicroUsdPerHour === null || deadline !== null, {
    error: 'waiting for a price needs a deadline, or it could wait for ever',
    path: ['cheapMicroUsdPerHour'],
  })
  .meta({ id: 'Scheduling' });
export type Scheduling = z.infer<typeof scheduling>;
