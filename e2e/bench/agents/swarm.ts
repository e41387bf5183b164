/**
 * The second process of the benchmark: very many agents without machines. Each speaks the agents' protocol over a connection
 * of its own, as the real one does: hello, observed, a heartbeat each second, telemetry each half minute, tries again with
 * the agents' own pauses. Told over IPC what to be; says each half second how many are connected; ends with its channel.
 */
import { randomUUID } from 'node:crypto';
import {
  agentProtocolVersion,
  type ControlMessage,
  heartbeatIntervalMs,
  type Inventory,
  type NodeId,
  telemetryIntervalMs,
} from '@iocloud/contracts';
import { type Address, backoffMs, Connection } from '@iocloud/worker-bootstrap/connection';

export interface Orders {
  controlPlane: Address;
  agents: { nodeId: NodeId; privateKey: string }[];
}
/** So many connections are broken off now. */
export interface Churn {
  breakOff: number;
}
export interface SwarmReport {
  /** Those that the control plane has answered on the connection that they have. */
  connected: number;
  losses: number;
  failures: number;
}

const gibibyte = 2 ** 30;
const inventory: Inventory = {
  hostname: 'swarm',
  os: 'Linux',
  arch: 'x64',
  cpuModel: 'none: a stand-in of the benchmark',
  cpus: 8,
  memoryBytes: 32 * gibibyte,
  diskFreeBytes: 2 ** 40,
  devices: [],
  rayVersions: ['2.60.0'],
  pythonVersion: '3.11.0',
  isolation: 'namespace',
  isolationReason: '',
};
const sample = {
  machine: {
    cpuUsage: 0.1,
    load1: 0.5,
    memoryAvailableBytes: 30 * gibibyte,
    diskFreeBytes: 2 ** 40,
    diskTotalBytes: 2 ** 41,
    receivedBytes: 1,
    sentBytes: 1,
    agentCpuSeconds: 1,
    agentMemoryBytes: 50 * 2 ** 20,
  },
  devices: [],
  leases: [],
};
const quiet = () => undefined;
const log = { trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet } as never;

let losses = 0;
let failures = 0;
/** With the control plane's word for it. */
const heard = new Set<Connection>();

class SwarmAgent {
  readonly #run = randomUUID();
  #sequence = 0;
  #revision = 0;
  connection: Connection | undefined;

  constructor(
    readonly controlPlane: Address,
    readonly nodeId: NodeId,
    readonly privateKey: Buffer,
  ) {}

  async run(): Promise<void> {
    for (let inARow = 0; ; ) {
      try {
        let own: Connection | undefined;
        const onMessage = (message: ControlMessage) => {
          if (message.type === 'heard' && own) heard.add(own);
          if (message.type === 'desired') this.#revision = message.revision;
          if (message.type === 'desired' && own) this.#observe(own);
        };
        const events = { onMessage, onStream: (stream: { destroy(): void }) => stream.destroy() };
        own = await Connection.open(this.controlPlane, this.nodeId, this.privateKey, events as never, log);
        inARow = 0;
        await this.#serve(own);
        heard.delete(own);
        losses += 1;
      } catch {
        failures += 1;
      }
      inARow += 1;
      await new Promise(resolve => setTimeout(resolve, backoffMs(inARow, Math.random())));
    }
  }

  /** That it has done what was desired of it: nothing ever is. */
  #observe(connection: Connection): void {
    connection.send({ type: 'observed', revision: this.#revision, leases: [] });
  }

  async #serve(connection: Connection): Promise<void> {
    this.connection = connection;
    const { nodeId } = this;
    connection.send({ type: 'hello', protocol: agentProtocolVersion, agentVersion: 'swarm', nodeId, inventory });
    this.#observe(connection);
    connection.send({ type: 'mesh', networks: [], seen: [], observerKey: null });
    let beat = 0;
    const heart = setInterval(() => {
      beat += 1;
      const load = { diskFreeBytes: 2 ** 40, memoryAvailableBytes: 30 * gibibyte, load1: 0.5 };
      connection.send({ type: 'heartbeat', beat, ...load });
    }, heartbeatIntervalMs);
    const measure = setInterval(() => {
      this.#sequence += 1;
      const samples = [{ sequence: this.#sequence, ageMs: 0, ...sample }];
      connection.send({ type: 'telemetry', run: this.#run, samples });
    }, telemetryIntervalMs);
    await connection.closed;
    clearInterval(heart);
    clearInterval(measure);
    this.connection = undefined;
  }
}

const agents: SwarmAgent[] = [];
process.on('message', (message: Orders | Churn) => {
  if ('breakOff' in message) {
    const live = agents.filter(({ connection }) => connection !== undefined);
    for (let count = 0; count < message.breakOff && live.length > 0; count += 1) {
      const [chosen] = live.splice(Math.floor(Math.random() * live.length), 1);
      chosen?.connection?.end();
    }
    return;
  }
  for (const { nodeId, privateKey } of message.agents) {
    agents.push(new SwarmAgent(message.controlPlane, nodeId, Buffer.from(privateKey)));
  }
  for (const agent of agents) void agent.run();
});
setInterval(() => {
  const report: SwarmReport = { connected: heard.size, losses, failures };
  process.send?.(report);
}, 500);
process.on('disconnect', () => process.exit(0));
