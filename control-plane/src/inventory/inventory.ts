/** Nodes and their agents: who is connected, what each is told, what each reports. */
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentProtocolVersion,
  fenceAfterMs,
  heartbeatTimeoutMs,
  type NodeId,
  type ReleaseReport,
  type StreamRequest,
} from '@iocloud/contracts';
import type { Connection } from 'ssh2';
import type { ReleaseWatch } from '../agent-releases/ports.js';
import { recordEvent, recordEvents } from '../events/index.js';
import type { MeshBook } from '../mesh/ports.js';
import {
  Batcher,
  type Database,
  isRefusedStatement,
  type Logger,
  type TopicHandler,
  type Transaction,
  wake,
} from '../platform/index.js';
import { AgentConnection } from './agent-connection.js';
import { setAgent } from './agent-release.js';
import { drainingNodes, finishDrain, unfinishedDrains } from './draining.js';
import { Hearing, silenceLookMs } from './hearing.js';
import { connections, countStream } from './metrics.js';
import { type Attendant, type Attended, type LeaseBook, type Machines, StreamRefused } from './ports.js';
import * as presence from './presence.js';
import { lostSince, silentSince } from './silent-nodes.js';
import { type RenterDoor, SshServer } from './ssh-server.js';
import * as store from './store.js';
import { TelemetryBook } from './telemetry.js';

interface Options {
  database: Database;
  leaseBook: LeaseBook;
  /** Runs what no agent runs; absent: there is no such machine. */
  attendant?: Attendant;
  mesh: Pick<MeshBook, 'desired' | 'reported'>;
  /** Hears of the agents' releases; absent: nobody does. */
  releases?: ReleaseWatch;
  log: Logger;
  ssh: { host: string; port: number; hostKey: Buffer };
  /** Silence after which a node's Ray nodes count as ended. */
  nodeLostSeconds: number;
  /** How long what machines measure of themselves is kept. */
  telemetryHours: number;
  onUsage?: TelemetryBook['onUsage'];
  /** Hears of a connection whose key is not that of the machine that it said it was. */
  onRefused?: (userName: string, address: string) => void;
  /** Where renters' connections go; absent: only machines come in. */
  renters?: RenterDoor;
}

/** Heartbeats of so many milliseconds are recorded together, at most so many. */
const beatSpacingMs = 50;
const mostBeats = 500;
/** Where nothing runs there is no fence to be moved: of so many heartbeats one is answered. */
const idleBeatsToAnswer = 2;
/** After a restart all machines come at once. */
const arrivalSpacingMs = 20;
const mostArrivals = 100;
/** A change of the free disk by less than this is not written: what is told each second need not be written each second. */
const diskStepBytes = 64 * 2 ** 20;

export class Inventory {
  readonly #agents = new Map<NodeId, AgentConnection>();
  readonly #hearing = new Hearing(() => performance.now());
  readonly #ssh: SshServer;
  readonly #beats: Batcher<NodeId, boolean>;
  /** As they stand on record. Bytes. */
  readonly #freeDisk = new Map<NodeId, number>();
  readonly #arrivals: Batcher<presence.Arrival, boolean>;
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
    const record = async (nodeIds: NodeId[]) => {
      const recorded = await presence.touchEach(database, nodeIds);
      return nodeIds.map(nodeId => recorded.has(nodeId));
    };
    this.#beats = new Batcher(record, mostBeats, undefined, beatSpacingMs);
    this.#arrivals = new Batcher(
      arrivals => this.#greet(arrivals, { waits: false }),
      mostArrivals,
      isRefusedStatement,
      arrivalSpacingMs,
    );
    this.#telemetry = new TelemetryBook(database, options.telemetryHours, () => performance.now(), options.onUsage);
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
      return countStream(request, agent ? agent.openStream(request) : this.#openAttended(nodeId, request));
    },
  };

  readonly attended: Attended = {
    arrived: async machines => {
      await this.#greet(
        machines.map(machine => ({ ...machine, release: null })),
        { waits: true },
      );
    },
    heard: async nodeIds => {
      for (const nodeId of nodeIds) this.#hearing.heard(nodeId);
      const recorded = await presence.touchEach(this.options.database, nodeIds);
      for (const nodeId of nodeIds) if (!recorded.has(nodeId)) await presence.touch(this.options.database, nodeId);
    },
    desired: nodeId => this.options.leaseBook.desired(nodeId),
    ending: nodeIds => this.options.leaseBook.ending(nodeIds),
    observed: async (nodeId, revision, leases) => {
      await this.options.leaseBook.observed(nodeId, revision, leases);
      await store.setObservedRevision(this.options.database, nodeId, revision);
    },
  };

  async #openAttended(nodeId: NodeId, request: StreamRequest): Promise<Duplex> {
    const stream = await this.options.attendant?.openStream(nodeId, request);
    if (!stream) throw new StreamRefused('offline', `the machine ${nodeId} is not connected`);
    return stream;
  }

  /** Topic 'node': tells a connected agent what to run. */
  readonly node: TopicHandler = {
    handle: async nodeId => {
      await finishDrain(this.options.database, this.options.leaseBook, nodeId as NodeId);
      this.options.attendant?.changed(nodeId as NodeId);
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
      connections.set(this.#agents.size);
      this.#freeDisk.delete(nodeId);
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
        if (!(await this.#beats.add(nodeId)) && !(await presence.touch(this.options.database, nodeId))) {
          this.#hearing.forget(nodeId);
          throw new Error('the node counts as offline: its agent must say hello again');
        }
        if (from.isBusy || message.beat % idleBeatsToAnswer === 0) this.#acknowledge(from, message.beat);
        return this.#noteFreeDisk(nodeId, message.diskFreeBytes);
      }
      case 'mesh':
        return this.options.mesh.reported(nodeId, message, address);
      case 'observed':
        from.runsLeases = message.leases.length > 0;
        await this.options.leaseBook.observed(nodeId, message.revision, message.leases);
        return store.setObservedRevision(this.options.database, nodeId, message.revision);
      case 'release':
        return this.options.database.transaction(tx => this.#released(tx, nodeId, message.release, false));
      case 'telemetry':
        return from.send({ type: 'recorded', sequence: await this.#telemetry.record(nodeId, message) });
    }
  }

  /** Says of each whether it is on record as online now; with `waits` none is left out because somebody is changing it. */
  async #greet(arrivals: presence.Arrival[], options: { waits: boolean }): Promise<boolean[]> {
    const { database, leaseBook } = this.options;
    const known = await database.transaction(async tx => {
      const arrived = await presence.markOnline(tx, arrivals, options);
      for (const { nodeId, release } of arrivals) {
        const node = arrived.get(nodeId);
        if (node && (release || node.hasRelease)) await this.#released(tx, nodeId, release, false);
      }
      const came = arrivals.flatMap(({ nodeId, inventory }) => {
        const node = arrived.get(nodeId);
        return node?.cameOnline ? [{ nodeId, inventory, node }] : [];
      });
      if (came.length === 0) return arrived;
      await recordEvents(
        tx,
        came.map(({ nodeId, inventory, node }) => ({
          tenantId: node.tenantId,
          subjectKind: 'node' as const,
          subject: nodeId,
          reason: 'NodeOnline' as const,
          message: `${node.name} is online: ${inventory.cpus} CPUs, ${inventory.devices.length} accelerators`,
        })),
      );
      for (const { nodeId, node } of came) {
        await leaseBook.tellOfMachine(tx, nodeId, {
          reason: 'MachineReachable',
          message: `the machine ${node.name} is heard of again`,
          severity: 'info',
        });
      }
      await wake(tx, 'dispatch', 'all');
      return arrived;
    });
    return arrivals.map(({ nodeId }) => known.has(nodeId));
  }

  async #noteFreeDisk(nodeId: NodeId, bytes: number): Promise<void> {
    if (Math.abs((this.#freeDisk.get(nodeId) ?? 0) - bytes) < diskStepBytes) return;
    this.#freeDisk.set(nodeId, bytes);
    await presence.recordFreeDisk(this.options.database, nodeId, bytes);
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
    const arrival = { nodeId, inventory: hello.inventory, release: hello.release ?? null };
    const known = (await this.#arrivals.add(arrival)) || (await this.#greet([arrival], { waits: true }))[0];
    if (!known) throw new Error('the node was removed');
    // A newer connection of the same device replaces one that only seems to live.
    this.#agents.get(nodeId)?.end();
    this.#agents.set(nodeId, from);
    connections.set(this.#agents.size);
    this.#freeDisk.set(nodeId, hello.inventory.diskFreeBytes);
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
    agent.shallRunLeases = leases.length > 0;
    agent.send({ type: 'desired', revision, leases, networks, relay });
  }

  /** Those that are silent are offline from now on: that much is known. Whether what runs there has ended is not. */
  async #lookForSilent(): Promise<void> {
    this.#hearing.look();
    if (!this.#hearing.hasListenedFor(heartbeatTimeoutMs)) return;
    try {
      const overdue = await presence.overdueNodes(this.options.database);
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
      const node = await presence.markOffline(tx, nodeId);
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
        message: `the machine ${node.name} cannot be reached; what runs there is left alone until it has ${
          node.isAttended ? 'ended for certain' : `been silent for ${lostSeconds} s`
        }`,
        severity: 'warning',
      });
    });
    this.#agents.get(nodeId)?.end();
  }
}
