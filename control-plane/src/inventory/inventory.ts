/** Nodes and their agents: who is connected, what each is told, what each reports. */
import {
  type AgentMessage,
  agentProtocolVersion,
  fenceAfterMs,
  heartbeatTimeoutMs,
  type NodeId,
  type ReleaseReport,
} from '@iocloud/contracts';
import type { Connection } from 'ssh2';
import type { ReleaseWatch } from '../agent-releases/ports.js';
import { recordEvent } from '../events/index.js';
import type { MeshBook } from '../mesh/ports.js';
import { Batcher, type Database, type Logger, type TopicHandler, type Transaction, wake } from '../platform/index.js';
import { AgentConnection } from './agent-connection.js';
import { setAgent } from './agent-release.js';
import { drainingNodes, finishDrain, unfinishedDrains } from './draining.js';
import { Hearing, silenceLookMs } from './hearing.js';
import { type LeaseBook, type Machines, StreamRefused } from './ports.js';
import { lostSince, silentSince } from './silent-nodes.js';
import { type RenterDoor, SshServer } from './ssh-server.js';
import * as store from './store.js';
import { TelemetryBook } from './telemetry.js';

interface Options {
  database: Database;
  leaseBook: LeaseBook;
  mesh: Pick<MeshBook, 'desired' | 'reported'>;
  /** Hears of the agents' releases; absent: nobody does. */
  releases?: ReleaseWatch;
  log: Logger;
  ssh: { host: string; port: number; hostKey: Buffer };
  /** Silence after which a node's Ray nodes count as ended. */
  nodeLostSeconds: number;
  /** How long what machines measure of themselves is kept. */
  telemetryHours: number;
  /** Hears of a connection whose key is not that of the machine that it said it was. */
  onRefused?: (userName: string, address: string) => void;
  /** Where renters' connections go; absent: only machines come in. */
  renters?: RenterDoor;
}

/** Heartbeats of so many milliseconds are recorded together, at most so many. */
const beatSpacingMs = 50;
const mostBeats = 500;

export class Inventory {
  readonly #agents = new Map<NodeId, AgentConnection>();
  readonly #hearing = new Hearing(() => performance.now());
  readonly #ssh: SshServer;
  readonly #beats: Batcher<store.Beat, boolean>;
  readonly #telemetry: TelemetryBook;
  #watch: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(readonly options: Options) {
    const { database, log, ssh } = options;
    this.#ssh = new SshServer({
      ...ssh,
      log,
      enrolledKey: userName => store.enrolledKey(database, userName),
      onRefused: (userName, address) => options.onRefused?.(userName, address),
      onAgent: (nodeId, connection, address) => this.#onAgent(nodeId, connection, address),
      renters: options.renters,
    });
    const record = async (beats: store.Beat[]) => {
      const recorded = await store.touchEach(database, beats);
      return beats.map(({ nodeId }) => recorded.has(nodeId));
    };
    this.#beats = new Batcher(record, mostBeats, undefined, beatSpacingMs);
    this.#telemetry = new TelemetryBook(database, options.telemetryHours, () => performance.now());
  }

  async listen(): Promise<number> {
    const port = await this.#ssh.listen();
    this.#watch = setInterval(() => {
      this.#looking ??= this.#lookForSilent().finally(() => {
        this.#looking = undefined;
      });
    }, silenceLookMs);
    return port;
  }

  async stop(): Promise<void> {
    clearInterval(this.#watch);
    await this.#looking;
    await this.#ssh.close();
  }

  readonly machines: Machines = {
    available: store.availableMachines,
    capacity: store.totalCapacity,
    enrolled: store.enrolledMachines,
    read: store.readMachines,
    changeDesired: store.changeDesired,
    silentSince: async (db, seconds) => this.#unheard(await silentSince(db, seconds), seconds),
    lostSince: async (db, seconds) => this.#unheard(await lostSince(db, seconds), seconds),
    draining: drainingNodes,
    openStream: (nodeId, request) => {
      const agent = this.#agents.get(nodeId);
      if (!agent) return Promise.reject(new StreamRefused('offline', `the machine ${nodeId} is not connected`));
      return agent.openStream(request);
    },
  };

  /** Topic 'node': tells a connected agent what to run. */
  readonly node: TopicHandler = {
    handle: async nodeId => {
      await finishDrain(this.options.database, this.options.leaseBook, nodeId as NodeId);
      await this.#push(nodeId as NodeId);
    },
    sweep: async () => {
      const connected = [...this.#agents.keys()];
      const [behind, draining] = await Promise.all([
        store.behind(this.options.database, connected),
        unfinishedDrains(this.options.database),
      ]);
      return [...new Set([...behind, ...draining])];
    },
  };

  /** Of those that are heard here the record is late, or the database's clock has jumped. */
  #unheard(silent: NodeId[], seconds: number): NodeId[] {
    return silent.filter(nodeId => !this.#hearing.hasHeardWithin(nodeId, seconds * 1_000));
  }

  #onAgent(nodeId: NodeId, connection: Connection, address: string | null): void {
    const agent = new AgentConnection(nodeId, connection, this.options.log, (message, from) =>
      this.#onMessage(nodeId, from, message, address),
    );
    connection.on('close', () => {
      if (this.#agents.get(nodeId) !== agent) return;
      this.#agents.delete(nodeId);
      this.options.log.info({ nodeId }, 'an agent disconnected');
    });
  }

  async #onMessage(
    nodeId: NodeId,
    from: AgentConnection,
    message: AgentMessage,
    address: string | null,
  ): Promise<void> {
    this.#hearing.heard(nodeId);
    if (message.type !== 'hello' && this.#agents.get(nodeId) !== from) {
      throw new Error('an agent spoke before its hello, or after a newer connection of its own');
    }
    switch (message.type) {
      case 'hello':
        return this.#onHello(nodeId, from, message);
      case 'heartbeat': {
        const beat = { nodeId, diskFreeBytes: message.diskFreeBytes };
        if (!(await this.#beats.add(beat)) && !(await store.touch(this.options.database, beat))) {
          this.#hearing.forget(nodeId);
          throw new Error('the node counts as offline: its agent must say hello again');
        }
        return this.#acknowledge(from, message.beat);
      }
      case 'mesh':
        return this.options.mesh.reported(nodeId, message, address);
      case 'observed':
        await this.options.leaseBook.observed(nodeId, message.revision, message.leases);
        return store.setObservedRevision(this.options.database, nodeId, message.revision);
      case 'release':
        return this.options.database.transaction(tx => this.#released(tx, nodeId, message.release, false));
      case 'telemetry':
        return from.send({ type: 'recorded', sequence: await this.#telemetry.record(nodeId, message) });
    }
  }

  async #onHello(
    nodeId: NodeId,
    from: AgentConnection,
    hello: Extract<AgentMessage, { type: 'hello' }>,
  ): Promise<void> {
    if (hello.protocol !== agentProtocolVersion || hello.nodeId !== nodeId) {
      const reason =
        hello.nodeId === nodeId
          ? `this control plane speaks agent protocol ${agentProtocolVersion}, the agent ${hello.protocol}: upgrade the agent`
          : 'the agent names another node than the one whose key it holds';
      if (hello.nodeId === nodeId && hello.release) await this.#upgradeBeforeRefusal(nodeId, from, hello.release);
      from.send({ type: 'refused', reason });
      throw new Error(reason);
    }
    const known = await this.options.database.transaction(async tx => {
      const node = await store.markOnline(tx, nodeId, hello.inventory);
      if (!node) return false;
      await this.#released(tx, nodeId, hello.release ?? null, false);
      if (node.cameOnline) {
        await recordEvent(tx, {
          tenantId: node.tenantId,
          subjectKind: 'node',
          subject: nodeId,
          reason: 'NodeOnline',
          message: `${node.name} is online: ${hello.inventory.cpus} CPUs, ${hello.inventory.devices.length} accelerators`,
        });
        await this.options.leaseBook.tellOfMachine(tx, nodeId, {
          reason: 'MachineReachable',
          message: `the machine ${node.name} is heard of again`,
          severity: 'info',
        });
        await wake(tx, 'dispatch', 'all');
      }
      return true;
    });
    if (!known) throw new Error('the node was removed');
    // A newer connection of the same device replaces one that only seems to live.
    this.#agents.get(nodeId)?.end();
    this.#agents.set(nodeId, from);
    this.options.log.info({ nodeId, agentVersion: hello.agentVersion }, 'an agent connected');
    this.#acknowledge(from, 0);
    await this.#push(nodeId);
  }

  async #released(tx: Transaction, nodeId: NodeId, report: ReleaseReport | null, refused: boolean): Promise<void> {
    await setAgent(tx, nodeId, report, refused);
    if (report) await this.options.releases?.reported(tx, nodeId, report);
  }

  /** One of another protocol is of no use as it is: all that can be done for it is a release that speaks ours. */
  async #upgradeBeforeRefusal(nodeId: NodeId, from: AgentConnection, report: ReleaseReport): Promise<void> {
    await this.options.database.transaction(tx => this.#released(tx, nodeId, report, true));
    await this.options.releases?.beforeRefusal(nodeId, request => from.openStream(request));
  }

  /** Only once it is on record: the machine counts on not being given up for so long. */
  #acknowledge(agent: AgentConnection, beat: number): void {
    const graceSeconds = this.options.releases?.graceSeconds(agent.nodeId) ?? 0;
    agent.send({ type: 'heard', beat, fenceAfterMs: fenceAfterMs(this.options.nodeLostSeconds + graceSeconds) });
  }

  async #push(nodeId: NodeId): Promise<void> {
    const agent = this.#agents.get(nodeId);
    if (!agent) return;
    const { revision, leases } = await this.options.leaseBook.desired(nodeId);
    // Read after the revision, so that it is never older.
    const { networks, relay } = await this.options.mesh.desired(nodeId);
    agent.send({ type: 'desired', revision, leases, networks, relay });
  }

  /** Those that are silent are offline from now on: that much is known. Whether what runs there has ended is not. */
  async #lookForSilent(): Promise<void> {
    this.#hearing.look();
    if (!this.#hearing.hasListenedFor(heartbeatTimeoutMs)) return;
    try {
      const overdue = await store.overdueNodes(this.options.database);
      for (const nodeId of overdue) {
        if (!this.#hearing.hasHeardWithin(nodeId, heartbeatTimeoutMs)) await this.#declareSilent(nodeId);
      }
    } catch (error) {
      this.options.log.warn({ err: error }, 'silent machines could not be looked for; again soon');
    }
  }

  async #declareSilent(nodeId: NodeId): Promise<void> {
    const lostSeconds = this.options.nodeLostSeconds;
    await this.options.database.transaction(async tx => {
      const node = await store.markOffline(tx, nodeId);
      if (!node) return;
      await recordEvent(tx, {
        tenantId: node.tenantId,
        subjectKind: 'node',
        subject: nodeId,
        reason: 'NodeOffline',
        message: `${node.name} has been silent for more than ${heartbeatTimeoutMs / 1000} s: it cannot be reached and gets no new work`,
        severity: 'warning',
      });
      await this.options.leaseBook.tellOfMachine(tx, nodeId, {
        reason: 'MachineUnreachable',
        message: `the machine ${node.name} cannot be reached; what runs there is left alone until it has been silent for ${lostSeconds} s`,
        severity: 'warning',
      });
    });
    this.#agents.get(nodeId)?.end();
  }
}
