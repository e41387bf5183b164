/**
 * What an agent and the control plane say to each other, inside one SSH connection that the agent opens.
 *
 * - Authentication: SSH public key, the device's ed25519 key; the user name is the node id.
 * - Control: the agent opens one session channel with the subsystem `iocloud-agent`; both sides then send JSON values,
 *   one a line, at most `maxLineBytes` bytes: `agentMessage` upwards, `controlMessage` downwards.
 * - Streams: the agent asks once for a stream-local forward of `streamForwardPath`. For each stream the control plane
 *   opens a forwarded channel there and writes one line, a `streamRequest`. The agent answers with one line, a
 *   `streamAnswer`; after `{ok:true}` both sides carry raw bytes.
 *
 * The control plane states what shall run (`desired`) and never what to do: the agent brings its machine there and
 * reports what it sees (`observed`). Either may die at any time and say it all again.
 */
import { z } from 'zod';
import { releaseOffer, releaseReport } from './agent-releases.js';
import { clusterId, leaseId, nodeId } from './ids.js';
import { meshNetwork, meshReport, relayDuty } from './mesh.js';
import { inventory } from './nodes.js';
import { maxTelemetrySamples, telemetrySample } from './telemetry.js';

export const agentProtocolVersion = 3;
export const agentSubsystem = 'iocloud-agent';
export const streamForwardPath = '/iocloud/streams';
/** In each direction of one round of a measurement. */
export const longestMeasureBytes = 4 * 2 ** 20;
export const maxLineBytes = 4 * 2 ** 20;
/**
 * How often an agent sends a heartbeat, and after how long a silence its node counts as offline: it gets no new work, and
 * nothing that runs there is touched. Milliseconds.
 */
export const heartbeatIntervalMs = 1_000;
export const heartbeatTimeoutMs = 3_500;

/** One Ray node to run on this machine. Its id is never used again: a lease that has exited stays exited. */
export const leaseSpec = z.object({
  leaseId,
  clusterId,
  role: z.enum(['head', 'worker']),
  group: z.string(),
  ordinal: z.int(),
  rayVersion: z.string(),
  authToken: z.string().describe("the cluster's own Ray token"),
  nodeIp: z
    .ipv4()
    .describe('address inside the cluster: in 127.0.0.0/8 where all of it is on one machine, else in its network'),
  headIp: z.ipv4().describe('address of the head; equal to nodeIp for the head'),
  cpus: z.number(),
  memoryBytes: z.int().nullable(),
  deviceIndices: z.array(z.int()),
  resources: z.record(z.string(), z.number()),
  labels: z.record(z.string(), z.string()),
  /** Absolute directory that the tenant's jobs keep their checkpoints in; made where it is missing. Null: none, or a URL. */
  checkpointDir: z.string().nullable().default(null),
  /** Only in a container: it is another tenant's, and the machine's owner allows no plain processes of theirs. */
  contained: z.boolean().default(false),
  /** Directory above it, which holds those of all tenants: nothing else of it is shown to the Ray node. */
  checkpointRoot: z.string().nullable().default(null),
});
export type LeaseSpec = z.infer<typeof leaseSpec>;

/** What the agent sees of one lease. */
export const leaseObservation = z.object({
  leaseId,
  phase: z.enum(['starting', 'ready', 'exited']),
  message: z.string().max(4096).describe('why, in words; the last lines of the error for a failed start'),
  rayNodeId: z.string().nullable(),
});
export type LeaseObservation = z.infer<typeof leaseObservation>;

export const agentMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    protocol: z.int(),
    agentVersion: z.string(),
    nodeId,
    inventory,
    /** Absent: what runs it changes its program, as `iocloud up` does. */
    release: releaseReport.optional(),
  }),
  /** Said again when it has changed: a release on trial has proven itself. */
  z.object({ type: z.literal('release'), release: releaseReport }),
  z.object({
    type: z.literal('heartbeat'),
    /** Counts up on each connection; 0 stands for its hello. */
    beat: z.int(),
    diskFreeBytes: z.int(),
    memoryAvailableBytes: z.int(),
    load1: z.number(),
  }),
  z.object({
    type: z.literal('observed'),
    /** The revision of the `desired` message that this observation has taken into account; 0 before the first. */
    revision: z.int(),
    leases: z.array(leaseObservation),
  }),
  /** Samples that no `recorded` has confirmed, the oldest first: those of a time without a connection come later. */
  z.object({
    type: z.literal('telemetry'),
    /** Of this run of the agent: with their number it tells samples apart, so that one that comes twice counts once. */
    run: z.uuid(),
    samples: z
      .array(telemetrySample.extend({ ageMs: z.int().min(0).describe('by the clock that never jumps') }))
      .min(1)
      .max(maxTelemetrySamples),
  }),
  meshReport.extend({ type: z.literal('mesh') }),
]);
export type AgentMessage = z.infer<typeof agentMessage>;

export const controlMessage = z.discriminatedUnion('type', [
  /** The whole truth for this machine: any lease or network not named here is to be ended and its data wiped. */
  z.object({
    type: z.literal('desired'),
    revision: z.int(),
    leases: z.array(leaseSpec),
    /** Networks of the clusters that it carries a part of, where these stand on several machines. */
    networks: z.array(meshNetwork).default([]),
    /** For whom it relays and observes; null: for nobody. */
    relay: relayDuty.nullable().default(null),
  }),
  /**
   * This heartbeat is on record. Unless a later one follows within `fenceAfterMs` of its sending, the machine's Ray nodes
   * end themselves: see fencing.ts.
   */
  z.object({ type: z.literal('heard'), beat: z.int(), fenceAfterMs: z.int().positive() }),
  /** Samples up to this one are on record. */
  z.object({ type: z.literal('recorded'), sequence: z.int().min(1) }),
  /** The connection is refused for good: the agent logs the reason and retries slowly. */
  z.object({ type: z.literal('refused'), reason: z.string() }),
]);
export type ControlMessage = z.infer<typeof controlMessage>;

/** Of an `exec`, in characters. */
export const longestCommand = 256 * 1024;
const terminalSide = z.int().min(0).max(65_535);

export const streamRequest = z.discriminatedUnion('kind', [
  /** A TCP connection to the head's dashboard port: HTTP and WebSocket follow. */
  z.object({ kind: z.literal('dashboard'), leaseId }),
  /** A TCP connection to the port of the head's GCS, Ray's own control store: gRPC follows. */
  z.object({ kind: z.literal('gcs'), leaseId }),
  /** A TCP connection to the port at which a Ray node, head or worker, tells its metrics: HTTP follows. */
  z.object({ kind: z.literal('metrics'), leaseId }),
  /**
   * The driver log of a Ray job (`job-driver-<submission id>.log`) from a byte offset, found on whichever of the
   * cluster's Ray nodes on this machine has it. With `follow` the bytes go on as they are written until the control
   * plane closes the channel (a file that does not exist yet is waited for); without it the answer says how many bytes
   * follow, which are those that the file holds at that moment.
   */
  z.object({
    kind: z.literal('job-log'),
    clusterId,
    submissionId: z.string(),
    fromByte: z.int().min(0),
    follow: z.boolean(),
  }),
  /**
   * Measures the connection itself, in rounds. For each the control plane writes two 32-bit big-endian numbers, `down` and
   * `up` (at most `longestMeasureBytes` each), and `down` bytes; the agent answers with the SHA-256 of those bytes, which
   * proves that it got them, and `up` bytes.
   */
  z.object({ kind: z.literal('measure') }),
  /** Datagrams of a cluster's network, to and from its other machines by way of the control plane: wire/datagrams.ts. */
  z.object({ kind: z.literal('mesh'), clusterId }),
  /**
   * A shell, a command or the SFTP server inside the lease: in its namespaces, with the environment of its Ray node. Both
   * sides then send frames (wire/frames.ts). The machine's last is `exit`; a stream that ends without one broke.
   */
  z.object({
    kind: z.literal('shell'),
    leaseId,
    what: z.discriminatedUnion('type', [
      z.object({ type: z.literal('shell') }),
      z.object({ type: z.literal('exec'), command: z.string().max(longestCommand) }),
      z.object({ type: z.literal('sftp') }),
    ]),
    /** In characters; null: pipes. */
    pty: z
      .object({
        term: z
          .string()
          .max(64)
          .regex(/^[\w.+-]*$/),
        columns: terminalSide,
        rows: terminalSide,
      })
      .nullable(),
    /** Added to the Ray node's: names such as LANG and LC_TIME, and what SSH says of the connection. */
    env: z.record(z.string().regex(/^(LANG|LC_[A-Z_]+|COLORTERM|SSH_CONNECTION)$/), z.string().max(1024)),
  }),
  /** A TCP connection to a port of the lease's own network namespace: nothing else can be reached. */
  z.object({
    kind: z.literal('connect'),
    leaseId,
    host: z.string().min(1).max(255),
    port: z.int().min(1).max(65_535),
  }),
  /** A connection to a Unix socket as the lease's mounts show it. */
  z.object({ kind: z.literal('connect-socket'), leaseId, path: z.string().min(1).max(107) }),
  /** A conversation by which a device proves what it is: see proof-protocol.ts. */
  z.object({ kind: z.literal('prove') }),
  releaseOffer,
]);
export type StreamRequest = z.infer<typeof streamRequest>;

export const streamAnswer = z.discriminatedUnion('ok', [
  /** `bytes`: so many follow; fewer mean that the stream broke. Absent where nobody can know. */
  z.object({ ok: z.literal(true), bytes: z.int().min(0).optional() }),
  z.object({
    ok: z.literal(false),
    code: z.enum(['not-found', 'not-ready', 'bad-request', 'internal']),
    message: z.string(),
  }),
]);
export type StreamAnswer = z.infer<typeof streamAnswer>;
