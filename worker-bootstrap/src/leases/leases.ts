/** All leases of this machine: brings what runs to what is desired, and tells of every change. */
import { mkdir, rm } from 'node:fs/promises';
import type { NetConnectOpts } from 'node:net';
import { dirname, join } from 'node:path';
import { type Device, type LeaseObservation, type LeaseSpec, slotOf } from '@iocloud/contracts';
import type { AgentConfig } from '../config.js';
import type { Logger } from '../log.js';
import { type Mesh, socketDirectory } from '../mesh/index.js';
import type { RunningLease } from '../metering/index.js';
import { mountVolume, type Sandbox, unmountVolume, volumeOf } from '../sandbox/index.js';
import { makeBox } from './box.js';
import { Fence } from './fence.js';
import { freePorts } from './free-ports.js';
import { isApart, type Launch, launchOf, type Ports, portsInNamespace } from './launch.js';
import { Lease } from './lease.js';
import { LeaseStore } from './lease-files.js';
import { plan } from './plan.js';

/** How often processes are looked at while something is on its way, and otherwise. Milliseconds. */
const busyIntervalMs = 50;
const calmIntervalMs = 500;
const headWaitMs = 120_000;

export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #store: LeaseStore;
  readonly #over = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly fence: Fence;
  #looking: Promise<void> | undefined;
  /** The revision of the last `desired` message that is acted on; 0 before the first. */
  revision = 0;

  constructor(
    readonly config: AgentConfig,
    readonly sandbox: Sandbox,
    readonly mesh: Mesh,
    readonly devices: readonly Device[],
    readonly memoryBytes: number,
    readonly onChange: () => void,
    readonly log: Logger,
  ) {
    this.#store = new LeaseStore(config.stateDir);
    this.fence = new Fence(config.stateDir);
  }

  /** Adopts what an earlier agent left running, and sweeps what nothing uses. */
  async open(): Promise<void> {
    await this.fence.open();
    for (const spec of await this.#store.open(Date.now())) {
      const lease = this.#add(spec);
      await mountVolume(this.#store.directory(spec.leaseId));
      await lease.adopt();
    }
    await this.sandbox.containers?.sweep(this.#running().map(lease => lease.id));
    await this.sandbox.sweep([...this.#running().map(lease => lease.spec.clusterId), ...this.mesh.clusterIds()]);
    this.#schedule();
  }

  observations(): LeaseObservation[] {
    const over = [...this.#over].map(leaseId => ({
      leaseId: leaseId as LeaseObservation['leaseId'],
      phase: 'exited' as const,
      message: 'this lease has ended on this machine before, and a lease is never started twice',
      rayNodeId: null,
    }));
    return [...[...this.#leases.values()].map(lease => lease.observation()), ...over];
  }

  /** Takes in what shall run here from now on. Returns when all of it is recorded on disk and under way. */
  async desire(revision: number, specs: readonly LeaseSpec[]): Promise<void> {
    const local = [...this.#leases.values()].map(lease => ({ leaseId: lease.id, phase: lease.phase }));
    const todo = plan(
      specs.map(spec => spec.leaseId),
      local,
      leaseId => this.#store.hasEnded(leaseId),
    );
    this.revision = revision;
    this.#over.clear();
    for (const leaseId of todo.over) this.#over.add(leaseId);
    for (const leaseId of todo.start) {
      const spec = specs.find(candidate => candidate.leaseId === leaseId);
      if (spec) await this.#start(spec);
    }
    for (const [leaseId, lease] of this.#leases) {
      lease.wipeWhenOver = !specs.some(spec => spec.leaseId === leaseId);
      if (todo.stop.includes(leaseId)) await lease.stop(Date.now());
    }
    this.onChange();
    this.#schedule();
  }

  #add(spec: LeaseSpec): Lease {
    const lease = new Lease(spec, this.#store, this.log);
    this.#leases.set(spec.leaseId, lease);
    return lease;
  }

  #running(): Lease[] {
    return [...this.#leases.values()].filter(lease => lease.phase !== 'exited');
  }

  async #start(spec: LeaseSpec): Promise<void> {
    await this.#store.create(spec);
    const lease = this.#add(spec);
    this.log.info({ leaseId: spec.leaseId, clusterId: spec.clusterId, role: spec.role }, 'a lease begins');
    // Not awaited: leases start side by side, and `look` sees the outcome.
    void lease
      .start(() => this.#prepare(spec))
      .then(() => {
        if (lease.phase === 'exited') this.onChange();
        this.#schedule();
      });
  }

  async #prepare(spec: LeaseSpec): Promise<{ command: string[]; launch: Launch }> {
    const environment = this.config.rayEnvironments[spec.rayVersion];
    if (!environment) throw new Error(`Ray ${spec.rayVersion} is not installed on this machine`);
    const leaseDir = this.#store.directory(spec.leaseId);
    const { hasNetworks, containers } = this.sandbox;
    if (spec.contained && !containers) {
      throw new Error('the owner of this machine lets others run in containers only, and it runs none now');
    }
    if (slotOf(spec.nodeIp) !== null) await this.mesh.ready(spec.clusterId);
    if (spec.checkpointDir !== null) await mkdir(spec.checkpointDir, { recursive: true, mode: 0o700 });
    const container = containers
      ? await makeBox(spec, { ...this, containers, leaseDir, fenceFile: this.fence.file })
      : null;
    const hasSockets = hasNetworks && spec.role === 'head';
    const socketPath = (name: string) =>
      container ? join(container.sockets, `${name}.sock`) : this.sandbox.socketPath(`${spec.leaseId}.${name}`);
    // Its path ends up in those of Ray's sockets, which have 107 bytes at most.
    const tempDir = hasNetworks ? null : join(this.sandbox.runtimeDir, spec.leaseId.slice(3, 11));
    const launch = launchOf(spec, {
      environment,
      leaseDir,
      fenceFile: this.fence.file,
      memoryBytes: this.memoryBytes,
      devices: this.devices,
      inherited: process.env,
      ports: hasNetworks ? portsInNamespace(spec.nodeIp) : await this.#portsOnHost(spec),
      dashboardSocket: hasSockets ? socketPath('dashboard') : null,
      gcsSocket: hasSockets ? socketPath('gcs') : null,
      tempDir,
      sessionsDir: tempDir ?? join(container ? volumeOf(leaseDir) : leaseDir, 'tmp', 'ray'),
      container,
      sandbox: hasNetworks && !container ? await this.#sandboxOf(spec, environment, leaseDir) : null,
    });
    if (container) return { command: this.sandbox.containerCommand(leaseDir), launch };
    return { command: this.sandbox.supervisorCommand(leaseDir), launch };
  }

  async #sandboxOf(spec: LeaseSpec, environment: string, leaseDir: string): Promise<NonNullable<Launch['sandbox']>> {
    return {
      network: await this.sandbox.openNetwork(spec.clusterId),
      tmp: join(leaseDir, 'tmp'),
      hide: [this.config.stateDir, socketDirectory, ...(spec.checkpointRoot === null ? [] : [spec.checkpointRoot])],
      keep: [environment, leaseDir, ...(spec.checkpointDir === null ? [] : [spec.checkpointDir])],
    };
  }

  /** Without a network of its own a cluster shares the machine's ports: its head takes free ones, its workers ask the head. */
  async #portsOnHost(spec: LeaseSpec): Promise<Ports> {
    const [gcs = 0, dashboard = 0, client = 0, ...ofAgents] = await freePorts(7);
    const [dashboardAgent = 0, dashboardAgentGrpc = 0, runtimeEnvAgent = 0, metricsExport = 0] = ofAgents;
    const own = { dashboard, client, dashboardAgent, dashboardAgentGrpc, runtimeEnvAgent, metricsExport };
    if (spec.role === 'head') return { ...own, gcs };
    for (const deadline = Date.now() + headWaitMs; Date.now() < deadline; ) {
      const head = [...this.#leases.values()].find(
        lease => lease.spec.clusterId === spec.clusterId && lease.spec.role === 'head',
      );
      if (head?.phase === 'exited') throw new Error('the head of the cluster has ended');
      const port = head?.launch?.argv.find(argument => argument.startsWith('--port='))?.slice('--port='.length);
      if (port) return { ...own, gcs: Number(port) };
      await new Promise(resolve => setTimeout(resolve, busyIntervalMs));
    }
    throw new Error('the head of the cluster does not run on this machine');
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const busy = [...this.#leases.values()].some(
      ({ phase, wipeWhenOver }) => phase === 'starting' || phase === 'stopping' || (phase === 'exited' && wipeWhenOver),
    );
    this.#timer = setTimeout(
      () => {
        this.#look()
          .catch((error: unknown) =>
            this.log.error({ error: String(error) }, 'leases could not be looked at; again soon'),
          )
          .finally(() => this.#schedule());
      },
      busy ? busyIntervalMs : calmIntervalMs,
    );
  }

  /** One look at a time: a second would wipe what the first is wiping. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    let changed = false;
    for (const lease of this.#leases.values()) {
      changed = (await lease.look(Date.now())) || changed;
      if (lease.phase === 'exited') changed = (await this.#tidy(lease)) || changed;
    }
    await this.#closeNetworks();
    if (changed) this.onChange();
  }

  #runs(clusterId: string): boolean {
    return this.#running().some(lease => lease.spec.clusterId === clusterId);
  }

  /** A network that is unwanted goes once nothing of its cluster runs here any more. */
  async #closeNetworks(): Promise<void> {
    for (const clusterId of this.mesh.unwanted()) {
      if (this.#runs(clusterId)) continue;
      await this.mesh.close(clusterId);
      await this.sandbox.closeNetwork(clusterId);
    }
  }

  /** Lets go of what a lease that is over holds: its network if it was the last one there, and its data if unwanted. */
  async #tidy(lease: Lease): Promise<boolean> {
    const { clusterId } = lease.spec;
    if (!this.#runs(clusterId) && !this.mesh.has(clusterId)) await this.sandbox.closeNetwork(clusterId);
    for (const socket of [lease.launch?.dashboardSocket, lease.launch?.gcsSocket]) {
      if (socket) await rm(socket, { force: true });
    }
    if (!lease.wipeWhenOver) return false;
    if (lease.launch && !isApart(lease.launch)) await rm(lease.launch.sessionsDir, { recursive: true, force: true });
    if (lease.launch?.container) await rm(lease.launch.container.sockets, { recursive: true, force: true });
    await unmountVolume(this.#store.directory(lease.id));
    await this.#store.wipe(lease.id);
    this.#leases.delete(lease.id);
    return true;
  }

  /** Where a port of a lease's head can be reached, 'unknown' for no such lease, 'not-ready' before it answers. */
  headPort(leaseId: string, port: 'dashboard' | 'gcs'): NetConnectOpts | 'unknown' | 'not-ready' {
    const lease = this.#leases.get(leaseId);
    if (lease?.spec.role !== 'head') return 'unknown';
    return lease.headPort(port) ?? 'not-ready';
  }

  /** Where a Ray node tells its metrics, inside its network; null where none is up. */
  metricsAddress(leaseId: string): { host: string; port: number } | null {
    return this.#leases.get(leaseId)?.metricsAddress ?? null;
  }

  /** By what a renter gets into a lease, 'unknown' for no such lease, 'not-ready' where it is not up. */
  entrance(leaseId: string): NonNullable<Lease['entrance']> | 'unknown' | 'not-ready' {
    const lease = this.#leases.get(leaseId);
    return lease ? (lease.entrance ?? 'not-ready') : 'unknown';
  }

  /** What runs here, by the process that all of it descends from. */
  running(): RunningLease[] {
    return this.#running().flatMap(({ id, pid, adopted }) =>
      pid ? [{ leaseId: id as RunningLease['leaseId'], pid, adopted }] : [],
    );
  }

  /** Folders with the sessions of the cluster's Ray nodes here, those that are over but not yet wiped included. */
  sessionsDirs(clusterId: string): string[] {
    return [...this.#leases.values()]
      .filter(lease => lease.spec.clusterId === clusterId)
      .flatMap(lease => (lease.launch ? [lease.launch.sessionsDir] : []));
  }

  /** Stops looking. With `keep` all goes on and is adopted by the next start; else every Ray node is ended first. */
  async close(keep: boolean): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (keep) return this.mesh.stop(true);
    for (const lease of this.#leases.values()) await lease.stop(Date.now());
    while (this.#running().length > 0) {
      await this.#look();
      await new Promise(resolve => setTimeout(resolve, busyIntervalMs));
    }
    await this.#look();
    for (const { id } of this.#leases.values()) await unmountVolume(this.#store.directory(id));
    await this.mesh.stop(false);
    await this.sandbox.sweep([]);
    await this.sandbox.removeRuntime();
    this.log.info({ stateDir: dirname(this.#store.directory('')) }, 'all leases have ended');
  }
}
