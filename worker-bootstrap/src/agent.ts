/** The agent: keeps connected, tells what it sees, and brings its machine to what is desired. */
import { loadavg } from 'node:os';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import {
  agentProtocolVersion,
  type ControlMessage,
  heartbeatIntervalMs,
  type Inventory,
  type StreamRequest,
} from '@iocloud/contracts';
import type { AgentConfig } from './config.js';
import { backoffMs, Connection, refusedDelayMs, StreamFault, serveStream } from './connection/index.js';
import { readDeviceKey } from './device-key.js';
import { diskFreeBytes, memoryAvailableBytes, takeInventory } from './inventory/index.js';
import { awaitJobLog, followLog, isSafeSubmissionId, openJobLog, readLog } from './job-log/index.js';
import { Leases, uptimeSeconds } from './leases/index.js';
import type { Logger } from './log.js';
import { Sandbox } from './sandbox/index.js';
import { Telemetry } from './telemetry/index.js';
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
  #beats = 0;
  #reporting = false;
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
    readonly log: Logger,
  ) {}

  /** Looks at the machine and adopts what runs on it. Throws with the reason when the machine cannot be used. */
  static async create(config: AgentConfig, log: Logger): Promise<Agent> {
    const { privateKey } = readDeviceKey(config.deviceKeyFile);
    const sandbox = await Sandbox.choose(config, log);
    const inventory = await takeInventory(config, sandbox, log);
    const onChange = () => agent.#observe();
    const leases = new Leases(config, sandbox, inventory.devices, inventory.memoryBytes, onChange, log);
    const telemetry = new Telemetry(inventory.devices, config.stateDir, () => agent.#report(), log);
    const agent: Agent = new Agent(config, inventory, privateKey, sandbox, leases, telemetry, log);
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
    });
    this.#observe();
    this.#reporting = false;
    this.#report();
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
    const { revision } = this.leases;
    this.#connection?.send({ type: 'observed', revision, leases: this.leases.observations() });
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
      .then(() => (this.#stopped.signal.aborted ? undefined : this.leases.desire(message.revision, message.leases)))
      .catch((error: unknown) => {
        this.log.error({ error: String(error) }, 'a desired state could not be taken in; asking for it anew');
        this.#connection?.end();
      });
  }

  #extendFence(beat: number, fenceAfterMs: number): void {
    const sentAt = this.#sentAt.get(beat);
    if (sentAt === undefined) return;
    for (const older of this.#sentAt.keys()) if (older <= beat) this.#sentAt.delete(older);
    this.leases.fence
      .extend(sentAt, fenceAfterMs)
      .catch((error: unknown) => this.log.error({ error: String(error) }, 'the fence could not be moved'));
  }

  readonly #sources = {
    headPort: (leaseId: string, port: 'dashboard' | 'gcs') => {
      const target = this.leases.headPort(leaseId, port);
      if (target === 'unknown') throw new StreamFault('not-found', `no head of lease ${leaseId} is on this machine`);
      if (target === 'not-ready') throw new StreamFault('not-ready', `the head of lease ${leaseId} is not ready`);
      return target;
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
  };

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
