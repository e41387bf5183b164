/**
 * A machine without Ray: speaks for an enrolled node over the agent's own SSH connection, offers very many processors,
 * reports each desired lease as ready at once, and hands the streams that are opened to pretended heads.
 */
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentProtocolVersion,
  type ControlMessage,
  heartbeatIntervalMs,
  type Inventory,
  type LeaseSpec,
  type NodeId,
  type StreamAnswer,
  streamRequest,
} from '@iocloud/contracts';
import { firstLine } from '@iocloud/contracts/wire';
import { type Address, Connection } from '@iocloud/worker-bootstrap/connection';
import type { PretendedHeads } from './pretended-heads.js';

export const gibibyte = 2 ** 30;
const offered = { cpus: 65_536, memoryBytes: 262_144 * gibibyte };
const retryMs = 1_000;
const requestTimeoutMs = 10_000;
const maxRequestBytes = 8_192;

const inventory: Inventory = {
  hostname: 'pretended',
  os: 'linux',
  arch: 'x64',
  cpuModel: 'none: a stand-in of the benchmark',
  ...offered,
  diskFreeBytes: 2 ** 40,
  devices: [],
  rayVersions: ['2.60.0'],
  pythonVersion: '3.11.0',
  isolation: 'namespace',
  isolationReason: '',
};

interface Enrolled {
  nodeId: NodeId;
  privateKey: string;
  controlPlane: Address;
  // The agent's own logger; only its methods for a line of text are used.
  log: Parameters<typeof Connection.open>[4];
}

export class PretendedMachine {
  #leases: LeaseSpec[] = [];
  #revision = 0;
  #connection: Connection | undefined;
  #stopped = false;
  /** How often the connection broke. */
  losses = 0;

  constructor(
    readonly enrolled: Enrolled,
    readonly heads: PretendedHeads,
  ) {}

  /** Connects again and again until `stop`. */
  async run(): Promise<void> {
    const { controlPlane, nodeId, privateKey, log } = this.enrolled;
    while (!this.#stopped) {
      try {
        const events = {
          onMessage: (message: ControlMessage) => this.#hear(message),
          onStream: (stream: Duplex) => void this.#carry(stream),
        };
        const connection = await Connection.open(controlPlane, nodeId, Buffer.from(privateKey), events, log);
        await this.#serve(connection);
      } catch (error) {
        log.warn({ nodeId, error: String(error) }, 'a pretended machine could not connect');
      }
      if (this.#stopped) return;
      this.losses += 1;
      await new Promise(resolve => setTimeout(resolve, retryMs));
    }
  }

  async #serve(connection: Connection): Promise<void> {
    this.#connection = connection;
    const { nodeId } = this.enrolled;
    let beat = 0;
    connection.send({ type: 'hello', protocol: agentProtocolVersion, agentVersion: 'stand-in', nodeId, inventory });
    this.#observe();
    const heart = setInterval(() => {
      beat += 1;
      const load = { diskFreeBytes: inventory.diskFreeBytes, memoryAvailableBytes: offered.memoryBytes, load1: 0 };
      connection.send({ type: 'heartbeat', beat, ...load });
    }, heartbeatIntervalMs);
    await connection.closed;
    clearInterval(heart);
    this.#connection = undefined;
  }

  #hear(message: ControlMessage): void {
    if (message.type === 'refused') throw new Error(`the control plane refuses the stand-in: ${message.reason}`);
    if (message.type !== 'desired') return;
    this.#revision = message.revision;
    this.#leases = message.leases;
    for (const { clusterId, authToken } of message.leases) this.heads.start(clusterId, authToken);
    this.#observe();
  }

  #observe(): void {
    const leases = this.#leases.map(({ leaseId }) => ({
      leaseId,
      phase: 'ready' as const,
      message: '',
      rayNodeId: 'ab'.repeat(28),
    }));
    const observed: AgentMessage = { type: 'observed', revision: this.#revision, leases };
    this.#connection?.send(observed);
  }

  async #carry(stream: Duplex): Promise<void> {
    try {
      const line = await firstLine(stream, maxRequestBytes, requestTimeoutMs);
      const request = streamRequest.parse(JSON.parse(line));
      const answer = (value: StreamAnswer) => stream.write(`${JSON.stringify(value)}\n`);
      if (request.kind === 'measure' || request.kind === 'prove') {
        answer({ ok: false, code: 'not-found', message: 'a pretended machine has nothing worth measuring' });
        stream.end();
        return;
      }
      if (request.kind !== 'job-log') {
        answer({ ok: true });
        this.heads.connect(request.kind, stream);
        return;
      }
      const { clusterId, submissionId, fromByte, follow } = request;
      const kept = this.heads.log(clusterId, submissionId, fromByte, follow ? stream : null);
      if (kept === null) {
        answer({ ok: false, code: 'not-found', message: `no log of ${submissionId} is on this machine` });
        stream.end();
      } else if (follow) {
        answer({ ok: true });
        stream.write(kept);
        stream.resume();
      } else {
        answer({ ok: true, bytes: kept.length });
        stream.end(kept);
      }
    } catch (error) {
      this.enrolled.log.debug({ error: String(error) }, 'a stream ended early');
      stream.destroy();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#connection?.end();
  }
}
