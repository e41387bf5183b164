/** The agent: keeps connected, tells what it sees, and brings its machine to what is desired. */
import { loadavg } from 'node:os';
import { type Duplex, Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import {
  agentProtocolVersion,
  type ControlMessage,
  heartbeatIntervalMs,
  type Inventory,
  type LeaseId,
  type ReleaseOffer,
  type StreamRequest,
} from '@iocloud/contracts';
import type { AgentConfig } from './config.js';
import { backoffMs, Connection, carryPort, refusedDelayMs, StreamFault, serveStream } from './connection/index.js';
import { readDeviceKey, signWith } from './device-key.js';
import { diskFreeBytes, memoryAvailableBytes, takeInventory } from './inventory/index.js';
import { awaitJobLog, followLog, isSafeSubmissionId, openJobLog, readLog } from './job-log/index.js';
import { Leases, uptimeSeconds } from './leases/index.js';
import type { Logger } from './log.js';
import { Mesh } from './mesh/index.js';
import { Metering } from './metering/index.js';
import type { Installation } from './releases/index.js';
import { Sandbox } from './sandbox/index.js';
import { type Entrance, Shells } from './shells/index.js';
import { Telemetry } from './telemetry/index.js';
import { programFor, serveProof } from './verification/index.js';
import { agentVersion } from './version.js';

const isRefused = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
/**
 * From its own machine nobody can be cut off: where nothing listens, no control plane runs that could give us up, and one
 * that starts listens for a whole while before it does. Elsewhere a refusal proves nothing.
 */
const isThisMachine = (host: string) => /^(127\.|::1$|localhost$)/.test(host);

export class Agent {
  #connection: Connection | undefined;
  #refused = false;
  /** When the heartbeats of this connection were sent, by number; uptime in seconds. */
  readonly #sentAt = new Map<number, number>();
  #heardAt = 0;
  #beats = 0;
  #reporting = false;
  readonly #shells: Shells;
  readonly #stopped = new AbortController();
  /** Desired states are taken in one after the other. */
  #desires: Promise<void> = Promise.resolve();

  private constructor(
    readonly config: AgentConfig,
    readonly inventory: Inventory,
    readonly privateKey: Buffer,
    readonly sandbox: Sandbox,
    readonly leases: Leases,
    readonly telemetry: Telemetry,
    readonly mesh: Mesh,
    readonly installation: Installation | null,
    readonly log: Logger,
  ) {
    this.#shells = new Shells(sandbox, log);
  }

  /** Looks at the machine and adopts what runs on it. Throws with the reason when the machine cannot be used. */
  static async create(config: AgentConfig, installation: Installation | null, log: Logger): Promise<Agent> {
    const { privateKey } = readDeviceKey(config.deviceKeyFile);
    let agent: Agent | undefined;
    const sandbox = await Sandbox.choose(config, log);
    const mesh = await Mesh.open(config, sandbox, () => agent?.sendMesh(), log);
    const inventory = await takeInventory(config, sandbox, mesh, log);
    const onChange = () => {
      if (agent) agent.#observe();
    };
    const leases = new Leases(config, sandbox, mesh, inventory.devices, inventory.memoryBytes, onChange, log);
    const onSample = () => {
      if (agent) agent.#report();
    };
    const metering = new Metering(
      () => leases.running(),
      error => log.warn({ error: String(error) }, 'what leases use could not be read; again soon'),
    );
    const telemetry = new Telemetry(inventory.devices, config.stateDir, onSample, metering, log);
    agent = new Agent(config, inventory, privateKey, sandbox, leases, telemetry, mesh, installation, log);
    await leases.open();
    await telemetry.start();
    return agent;
  }

  /** Connects for ever, until `stop`. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#stopped.signal.aborted; ) {
      const { nodeId, controlPlane } = this.config;
      this.#refused = false;
      const triedAt = await uptimeSeconds();
      try {
        const events = {
          onMessage: (message: ControlMessage) => this.#hear(message),
          onStream: (stream: Parameters<typeof serveStream>[0]) => void serveStream(stream, this.#sources, this.log),
        };
        const connection = await Connection.open(controlPlane, nodeId, this.privateKey, events, this.log);
        failures = 0;
        await this.#serve(connection);
      } catch (error) {
        if (isRefused(error) && isThisMachine(controlPlane.host)) await this.leases.fence.extendAsBefore(triedAt);
        this.log.warn(
          { error: (error as Error).message, failures },
          'the control plane cannot be reached; trying again',
        );
      }
      failures += 1;
      await this.#pause(this.#refused ? refusedDelayMs : backoffMs(failures, Math.random()));
    }
  }

  async #serve(connection: Connection): Promise<void> {
    this.#connection = connection;
    if (this.#stopped.signal.aborted) connection.end();
    this.log.info({ controlPlane: this.config.controlPlane.host }, 'connected');
    const diskFree = await diskFreeBytes(this.config.stateDir);
    this.#sentAt.clear();
    this.#beats = 0;
    this.#sentAt.set(0, await uptimeSeconds());
    connection.send({
      type: 'hello',
      protocol: agentProtocolVersion,
      agentVersion,
      nodeId: this.config.nodeId,
      inventory: { ...this.inventory, diskFreeBytes: diskFree },
      release: this.installation?.report(),
    });
    this.#observe();
    this.#reporting = false;
    this.#report();
    this.sendMesh();
    const heart = setInterval(() => void this.#beat(connection), heartbeatIntervalMs);
    const reason = await connection.closed;
    clearInterval(heart);
    this.#connection = undefined;
    this.log.info({ reason }, 'disconnected');
  }

  async #beat(connection: Connection): Promise<void> {
    try {
      const diskFree = await diskFreeBytes(this.config.stateDir);
      const memoryAvailable = await memoryAvailableBytes();
      const [load1 = 0] = loadavg();
      this.#beats += 1;
      const beat = this.#beats;
      this.#sentAt.set(beat, await uptimeSeconds());
      connection.send({
        type: 'heartbeat',
        beat,
        diskFreeBytes: diskFree,
        memoryAvailableBytes: memoryAvailable,
        load1,
      });
    } catch (error) {
      this.log.error({ error: String(error) }, 'no heartbeat: the machine cannot be measured');
    }
  }

  #observe(): void {
    this.#shells.keepOnly(leaseId => typeof this.leases.entrance(leaseId) === 'object');
    const { revision } = this.leases;
    this.#connection?.send({ type: 'observed', revision, leases: this.leases.observations() });
  }

  /** What has become of the networks. */
  sendMesh(): void {
    const { networks, seen, observerKey } = this.mesh.report();
    this.#connection?.send({ type: 'mesh', networks, seen, observerKey });
  }

  /** One message at a time: the next goes when this one is on record. */
  #report(): void {
    const pending = this.#reporting ? null : this.telemetry.pending();
    if (!pending || !this.#connection) return;
    this.#reporting = true;
    this.#connection.send(pending);
  }

  #hear(message: ControlMessage): void {
    if (message.type === 'refused') {
      this.#refused = true;
      this.log.error({ reason: message.reason }, 'the control plane refuses this node; trying again every minute');
      this.#connection?.end();
      return;
    }
    if (message.type === 'heard') {
      this.#extendFence(message.beat, message.fenceAfterMs);
      return;
    }
    if (message.type === 'recorded') {
      this.telemetry.recorded(message.sequence);
      this.#reporting = false;
      this.#report();
      return;
    }
    this.#desires = this.#desires
      .then(() => (this.#stopped.signal.aborted ? undefined : this.#desire(message)))
      .catch((error: unknown) => {
        this.log.error({ error: String(error) }, 'a desired state could not be taken in; asking for it anew');
        this.#connection?.end();
      });
  }

  /** Networks first, as Ray nodes wait for theirs. */
  async #desire({ revision, leases, networks, relay }: Extract<ControlMessage, { type: 'desired' }>): Promise<void> {
    await this.mesh.desire(networks, relay);
    await this.leases.desire(revision, leases);
    const proven = await this.installation?.settle(leases, this.leases.observations());
    if (proven) this.#connection?.send({ type: 'release', release: proven });
  }

  #extendFence(beat: number, fenceAfterMs: number): void {
    const sentAt = this.#sentAt.get(beat);
    if (sentAt === undefined) return;
    this.#heardAt = Math.max(this.#heardAt, sentAt);
    for (const older of this.#sentAt.keys()) if (older <= beat) this.#sentAt.delete(older);
    this.leases.fence
      .extend(sentAt, fenceAfterMs)
      .catch((error: unknown) => this.log.error({ error: String(error) }, 'the fence could not be moved'));
  }

  readonly #sources = {
    prove: (stream: Parameters<typeof serveProof>[0]) =>
      serveProof(stream, {
        programs: programFor({
          inventory: this.inventory,
          rayEnvironments: this.config.rayEnvironments,
          gpuPrograms: this.config.proofPrograms,
        }),
        sign: text => signWith(this.privateKey, text),
        log: this.log,
      }),
    release: (stream: Duplex, offer: ReleaseOffer, agree: () => void) => {
      if (!this.installation) throw new StreamFault('bad-request', 'what runs this agent changes its release, too');
      return this.installation.take(stream, offer, agree, async () => {
        if (this.#heardAt > 0) await this.leases.fence.extend(this.#heardAt, offer.fenceAfterMs);
        return this.leases.observations().flatMap(one => (one.phase === 'ready' ? [one.leaseId] : []));
      });
    },
    headPort: (leaseId: string, port: 'dashboard' | 'gcs') => {
      const target = this.leases.headPort(leaseId, port);
      if (target === 'unknown') throw new StreamFault('not-found', `no head of lease ${leaseId} is on this machine`);
      if (target === 'not-ready') throw new StreamFault('not-ready', `the head of lease ${leaseId} is not ready`);
      return target;
    },
    mesh: (clusterId: string, stream: Duplex) => {
      const carried = this.mesh.carry(clusterId, stream);
      if (!carried) throw new StreamFault('not-found', `no network of cluster ${clusterId} is on this machine`);
      return carried;
    },
    jobLog: async (request: Extract<StreamRequest, { kind: 'job-log' }>, signal: AbortSignal) => {
      const { clusterId, submissionId, fromByte, follow } = request;
      if (!isSafeSubmissionId(submissionId)) throw new StreamFault('bad-request', 'not a submission id');
      const places = () => this.leases.sessionsDirs(clusterId);
      const present = await openJobLog(places(), submissionId);
      if (!present && !follow) throw new StreamFault('not-found', `no log of ${submissionId} is on this machine`);
      if (present && !follow) {
        const bytes = Math.max(0, (await present.stat()).size - fromByte);
        return { stream: Readable.from(readLog(present, fromByte, bytes, signal), { objectMode: false }), bytes };
      }
      const followed = async function* () {
        const file = present ?? (await awaitJobLog(places, submissionId, signal));
        if (file) yield* followLog(file, fromByte, signal);
      };
      return { stream: Readable.from(followed(), { objectMode: false }) };
    },
    shell: (request: Extract<StreamRequest, { kind: 'shell' }>) => {
      const entrance = this.#entrance(request.leaseId);
      return (stream: Duplex) => this.#shells.shell(stream, request, entrance);
    },
    connect: (stream: Duplex, request: Extract<StreamRequest, { kind: 'connect' | 'connect-socket' }>) => {
      const entrance = this.#entrance(request.leaseId);
      if (!entrance.sandboxed) {
        const why =
          'this machine keeps clusters apart by Ray’s token alone, not by networks: no port is forwarded there';
        throw new StreamFault('bad-request', why);
      }
      return this.#shells.connect(stream, request, entrance);
    },
    metrics: (stream: Duplex, leaseId: LeaseId) => {
      const entrance = this.#entrance(leaseId);
      const address = this.leases.metricsAddress(leaseId);
      if (!address) throw new StreamFault('not-found', `lease ${leaseId} tells no metrics`);
      if (!entrance.sandboxed) return carryPort(stream, 'metrics', address);
      return this.#shells.connect(stream, { kind: 'connect', leaseId, ...address }, entrance);
    },
  };

  #entrance(leaseId: string): Entrance {
    const entrance = this.leases.entrance(leaseId);
    if (entrance === 'unknown') throw new StreamFault('not-found', `lease ${leaseId} is not on this machine`);
    if (entrance === 'not-ready') throw new StreamFault('not-ready', `lease ${leaseId} is not up`);
    return { leaseId, ...entrance };
  }

  async #pause(ms: number): Promise<void> {
    // Cut short by `stop`, which is no fault.
    await setTimeout(ms, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
  }

  /** Ends the connection and, unless they are to be kept, all Ray nodes. */
  async stop(keepLeases: boolean): Promise<void> {
    this.#stopped.abort();
    this.#connection?.end();
    await this.#desires;
    await this.telemetry.stop();
    await this.leases.close(keepLeases);
  }
}
