import { z } from 'zod';
import { nodeAgent } from './agent-releases.js';
import { nodeId, providerId } from './ids.js';
import { nodeLoad } from './load.js';
import { meshEndpoint } from './mesh.js';
import {
  acceleratorVendor,
  compliance,
  connectivity,
  coordinates,
  country,
  fabric,
  interconnect,
  microUsd,
  region,
} from './requirements.js';

export const device = z
  .object({
    index: z.int().min(0).describe('index on its machine, as CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES counts'),
    uuid: z.string().max(128),
    vendor: acceleratorVendor,
    model: z.string().max(128).describe('as the driver names it, for example NVIDIA H100 80GB HBM3'),
    memoryBytes: z.int().min(0),
    simulated: z.boolean().describe('true: declared by configuration for tests, no such hardware exists'),
  })
  .meta({ id: 'Device' });
export type Device = z.infer<typeof device>;

/**
 * How far renters' code is kept apart from its machine. container: in a container that limits it. namespace: plain
 * processes, whose ports nothing else reaches. token-only: plain processes, whose ports Ray's token guards.
 */
export const isolation = z.enum(['container', 'namespace', 'token-only']).meta({ id: 'Isolation' });
export type Isolation = z.infer<typeof isolation>;

export const inventory = z
  .object({
    hostname: z.string().max(253),
    os: z.string().max(64),
    arch: z.string().max(32),
    cpuModel: z.string().max(128),
    cpus: z.number().min(0).describe('logical CPUs offered'),
    memoryBytes: z.int().min(0).describe('bytes of memory offered'),
    diskFreeBytes: z.int().min(0),
    devices: z.array(device).max(64),
    rayVersions: z.array(z.string()).describe('Ray releases that can be started here'),
    pythonVersion: z.string(),
    isolation,
    isolationReason: z.string().describe('why the machine isolates no better, or empty'),
    mesh: z
      .object({ able: z.boolean(), reason: z.string().describe('by what it is able, or why it is not') })
      .optional()
      .describe('whether it can carry a part of a cluster that stands on several machines; absent: it has not said'),
  })
  .meta({ id: 'Inventory' });
export type Inventory = z.infer<typeof inventory>;

/**
 * What a machine's owner says of it; placement goes by it. Null or empty: not stated, which meets no requirement that
 * asks for it.
 */
export const nodeTerms = z
  .strictObject({
    country: country.nullable().default(null),
    region: region.nullable().default(null),
    coordinates: coordinates.nullable().default(null),
    domain: region.nullable().default(null).describe('site or rack that fails as one, for anti-affinity'),
    connectivity: connectivity.nullable().default(null),
    interconnect: interconnect.nullable().default(null).describe("null: what the accelerators' data sheet says"),
    fabric: fabric.nullable().default(null),
    compliance: z.array(compliance).max(16).default([]),
    relayAddress: meshEndpoint
      .refine(endpoint => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1)) < 65_535, 'the next port is needed too')
      .nullable()
      .default(null)
      .describe(
        'where it can be reached by UDP from everywhere, such as 192.0.2.7:51900, and at the next port too: it then helps ' +
          'machines behind NAT to find each other, and relays what cannot go directly',
      ),
    plainProcesses: z
      .boolean()
      .default(false)
      .describe(
        "true: its owner allows other tenants' code to run there as plain processes, which see the machine's files; else it " +
          'goes only where containers keep it apart (docs/isolation.md)',
      ),
    gpuPricing: z
      .enum(['own', 'market'])
      .default('own')
      .describe('market: the market price of its model, with the factors for what it is, and never less than its own'),
    microUsdPerGpuHour: microUsd.default(0).describe('price of an accelerator for an hour, micro-USD'),
    microUsdPerCpuHour: microUsd.default(0).describe('price of a logical CPU for an hour, micro-USD'),
  })
  .meta({ id: 'NodeTerms' });
export type NodeTerms = z.infer<typeof nodeTerms>;

/** Only what is named changes. */
export const changeNodeTerms = z
  .strictObject(
    Object.fromEntries(Object.entries(nodeTerms.shape).map(([name, field]) => [name, field.unwrap().optional()])) as {
      [K in keyof typeof nodeTerms.shape]: z.ZodOptional<ReturnType<(typeof nodeTerms.shape)[K]['unwrap']>>;
    },
  )
  .meta({ id: 'ChangeNodeTerms' });
/** Whether a machine takes new work: `draining` moves away what it has, `drained` has nothing left. */
export const nodeScheduling = z.enum(['active', 'draining', 'drained']).meta({ id: 'NodeScheduling' });
export type NodeScheduling = z.infer<typeof nodeScheduling>;

export const drainNode = z
  .object({
    graceSeconds: z
      .int()
      .min(0)
      .max(86_400)
      .default(60)
      .describe('how long its jobs have to write a checkpoint and end'),
    reason: z
      .string()
      .min(1)
      .max(500)
      .default('maintenance')
      .describe('shown with the machine and to the jobs that move'),
  })
  .meta({ id: 'DrainNode' });
export type DrainNode = z.infer<typeof drainNode>;

/** What is known of an accelerator model, from its maker's data sheet; a figure that it does not state plainly is null. */
export const acceleratorModel = z
  .object({
    slug: z.string().describe('what requirements call it, for example h100-sxm'),
    name: z.string(),
    vendor: z.enum(['nvidia', 'amd', 'intel', 'apple']),
    rayType: z.string().nullable().describe("Ray's name of it, the label ray.io/accelerator-type; null: Ray has none"),
    memoryBytes: z.int().nullable().describe('of one device; null where one name stands for several sizes'),
    fp16Tflops: z.number().nullable().describe('FP16 or BF16, dense, 10¹² operations a second'),
    bandwidthGBps: z.number().nullable().describe('of its memory, 10⁹ bytes a second'),
    interconnect: z
      .object({
        kind: z.enum(['pcie', 'nvlink', 'infinity-fabric', 'ethernet']),
        gigabytesPerSecond: z.number().describe('both directions together, 10⁹ bytes a second'),
      })
      .nullable(),
    generation: z.string().describe('its architecture, for example Hopper'),
    year: z.int().describe('of its launch'),
    source: z.object({ title: z.string(), url: z.url() }).describe('where the figures stand'),
  })
  .meta({ id: 'AcceleratorModel' });
export type AcceleratorModel = z.infer<typeof acceleratorModel>;

/** Of the machine's connection to the control plane: the best of the latest measurements, as other traffic only slows it. */
export const measurement = z
  .object({
    roundTripMs: z.number().min(0),
    downloadMbps: z.number().min(0).describe('to the machine, 10⁶ bits a second'),
    uploadMbps: z.number().min(0).describe('from the machine, 10⁶ bits a second'),
    at: z.iso.datetime().describe('when it was measured last'),
  })
  .meta({ id: 'Measurement' });
export type Measurement = z.infer<typeof measurement>;

export const node = z
  .object({
    id: nodeId,
    name: z.string(),
    providerId: providerId
      .nullable()
      .describe(
        'the Kubernetes cluster that it is a node of, of whose devices nothing is proven; null: an agent runs it',
      ),
    shared: z.boolean().describe('true: its owner offers it to other tenants too'),
    state: z.enum(['online', 'offline']),
    scheduling: nodeScheduling,
    drain: z
      .object({ reason: z.string(), requestedAt: z.iso.datetime(), deadline: z.iso.datetime() })
      .nullable()
      .describe('null while it takes work'),
    inventory: inventory.nullable().describe('null until the agent has connected once'),
    accelerators: z
      .array(
        z.object({
          index: z.int().min(0).describe('of the device in the inventory'),
          model: acceleratorModel
            .nullable()
            .describe('null: not in the table, it goes by the name that its driver gives'),
        }),
      )
      .describe('what each device was recognised as by the name and memory that it reports'),
    terms: nodeTerms,
    microUsdPerGpuHour: microUsd.describe('what placement goes by now: the own price, or that of the market'),
    measured: measurement
      .nullable()
      .describe('null: not yet; the first time is within a minute of its first connection'),
    connectivity: connectivity.describe(
      'the tier that placement goes by: the stated one, less where the measurement refutes it; where none is stated, the measured one',
    ),
    reputation: z
      .number()
      .min(0)
      .max(1)
      .describe('how far it can be relied on; 0.8: nothing is known of it or its supplier'),
    eligible: z
      .boolean()
      .describe('may be offered to other tenants, if it is shared: verified, or no verification is required'),
    cpusLeased: z.number(),
    memoryBytesLeased: z.int(),
    devicesLeased: z.array(z.int()).describe('indices of devices in a lease'),
    load: nodeLoad,
    agent: nodeAgent.nullable().describe('its release; null: it has not connected, or cannot change it by itself'),
    lastHeartbeatAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'Node' });
export type Node = z.infer<typeof node>;

export const enrolNode = z
  .object({
    name: z.string().min(1).max(63),
    publicKey: z.string().max(512).describe('the device key: one ed25519 line in OpenSSH format'),
    shared: z.boolean().default(false).describe('offer the machine to other tenants too'),
  })
  .meta({ id: 'EnrolNode' });
