/** For this domain's tests: a real database, the real domain, and machines whose agents do what the test says. */
import { randomBytes } from 'node:crypto';
import {
  type Cluster,
  type ClusterId,
  type ClusterSpec,
  clusterSpec,
  type Inventory,
  type LeaseId,
  type LeaseObservation,
  type LeaseSpec,
  type NodeId,
  newId,
  type TenantId,
} from '@iocloud/contracts';
import { freeOfCharge, type Orders } from '../../billing/index.js';
import { drainingNodes } from '../../inventory/draining.js';
import { recordEvidence } from '../../inventory/index.js';
import { lostSince, silentSince } from '../../inventory/silent-nodes.js';
import * as inventoryStore from '../../inventory/store.js';
import { createMesh, type MeshDomain } from '../../mesh/index.js';
import { type Database, Seal, Signer } from '../../platform/index.js';
import { type Ground, newTenantKey, startGround, type TestKey } from '../../test-ground.js';
import { type ClusterDomain, createClusters } from '../domain.js';
import { insertCluster, setWish, toCluster } from '../store.js';
import { newToken } from '../token.js';

/** One machine's agent: keeps what it has started, and reports it with the revision that it has seen. */
export class SimulatedAgent {
  readonly running = new Map<LeaseId, LeaseObservation['phase']>();
  revision = 0;
  leases: LeaseSpec[] = [];

  constructor(
    readonly nodeId: NodeId,
    readonly trial: Trial,
  ) {}

  /** Hears what it shall run, ends what is not named, and takes up what is new. Does not report. */
  async hear(): Promise<void> {
    const { revision, leases } = await this.trial.domain.leaseBook.desired(this.nodeId);
    this.revision = revision;
    this.leases = leases;
    const named = new Set(leases.map(lease => lease.leaseId));
    for (const id of this.running.keys()) if (!named.has(id)) this.running.delete(id);
    for (const id of named) if (!this.running.has(id)) this.running.set(id, 'starting');
  }

  /** All that is starting becomes ready. */
  becomeReady(): void {
    for (const [id, phase] of this.running) if (phase === 'starting') this.running.set(id, 'ready');
  }

  exit(pick: (lease: LeaseSpec) => boolean): void {
    for (const lease of this.leases.filter(pick)) this.running.set(lease.leaseId, 'exited');
  }

  async report(): Promise<void> {
    const observed = [...this.running].map(([leaseId, phase]) => ({ leaseId, phase, message: '', rayNodeId: null }));
    await this.trial.domain.leaseBook.observed(this.nodeId, this.revision, observed);
  }

  /** Hears, starts everything, reports, until nothing changes any more: a machine where all goes well. */
  async obey(rounds = 6): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      await this.hear();
      await this.report();
      this.becomeReady();
      await this.report();
      await this.trial.settle();
    }
  }
}

export class Trial {
  readonly activity = new Map<ClusterId, { live: number; lastEndedAt: Date | null }>();
  readonly evicted = new Map<ClusterId, string>();
  readonly headLost = new Set<ClusterId>();
  /** What the jobs of clusters were told of their machines. */
  readonly told: string[] = [];
  readonly seal = new Seal(randomBytes(32));
  now = () => new Date();
  /** What clusters ask to be paid for. */
  orders: Orders = freeOfCharge;
  readonly domain: ClusterDomain;
  readonly mesh: MeshDomain;

  private constructor(
    readonly ground: Ground,
    fewMachines?: number,
  ) {
    this.mesh = createMesh({
      database: ground.database,
      machines: {
        changeDesired: inventoryStore.changeDesired,
        openStream: () => Promise.reject(new Error('this trial has no streams')),
      },
      secret: randomBytes(32),
      log: ground.log,
    });
    this.domain = createClusters({
      mesh: this.mesh,
      config: {
        rayVersion: '2.60.0',
        idleTimeoutSeconds: 600,
        nodeLostSeconds: 60,
        publicUrl: undefined,
        checkpointRoot: 's3://bucket',
      },
      database: ground.database,
      machines: {
        available: inventoryStore.availableMachines,
        capacity: inventoryStore.totalCapacity,
        enrolled: inventoryStore.enrolledMachines,
        read: inventoryStore.readMachines,
        changeDesired: inventoryStore.changeDesired,
        silentSince,
        lostSince,
        draining: drainingNodes,
        openStream: () => Promise.reject(new Error('this trial has no streams')),
      },
      activity: {
        of: async () => this.activity,
        evict: async (_tx, id, { reason }) => void this.evicted.set(id, reason),
        headLost: async (_tx, id) => void this.headLost.add(id),
        tell: async (_tx, ids, { reason }) => void this.told.push(...ids.map(id => `${reason} ${id}`)),
      },
      reputation: { record: recordEvidence },
      orders: {
        cover: (tx, wanted) => this.orders.cover(tx, wanted),
        refusal: (db, price) => this.orders.refusal(db, price),
      },
      signals: { send: () => undefined },
      seal: this.seal,
      signer: new Signer(randomBytes(32)),
      log: ground.log,
      random: randomBytes,
      now: () => this.now(),
      ...(fewMachines === undefined ? {} : { fewMachines }),
    });
  }

  /** `fewMachines`: see ClusterWiring. */
  static async start(fewMachines?: number): Promise<Trial> {
    return new Trial(await startGround(), fewMachines);
  }

  get database(): Database {
    return this.ground.database;
  }

  async stop(): Promise<void> {
    await this.domain.stop();
    await this.ground.stop();
  }

  tenant(): Promise<TestKey> {
    return newTenantKey(this.database);
  }

  async machine(tenantId: TenantId, offer: Partial<Inventory> = {}, shared = false): Promise<SimulatedAgent> {
    const id = newId('node', randomBytes);
    const inventory: Inventory = {
      hostname: 'trial',
      os: 'Linux',
      arch: 'x64',
      cpuModel: 'simulated',
      cpus: 8,
      memoryBytes: 32 * 2 ** 30,
      diskFreeBytes: 2 ** 40,
      devices: [],
      rayVersions: ['2.60.0'],
      pythonVersion: '3.11.2',
      isolation: 'namespace',
      isolationReason: '',
      ...offer,
    };
    await this.database.query(
      `INSERT INTO nodes (id, tenant_id, name, public_key, shared, inventory, terms, online, last_heartbeat_at)
       VALUES ($1, $2, $1, $1, $3, $4, $5, true, now())`,
      [id, tenantId, shared, JSON.stringify(inventory), JSON.stringify({ plainProcesses: shared })],
    );
    return new SimulatedAgent(id, this);
  }

  async create(tenantId: TenantId, input: { name: string } & Record<string, unknown>): Promise<ClusterId> {
    const spec = { ...clusterSpec.parse(input), rayVersion: '2.60.0' };
    const id = newId('cluster', randomBytes);
    const sealedToken = this.seal.seal(newToken(randomBytes), id);
    await this.database.transaction(tx =>
      insertCluster(tx, { id, tenantId, spec, origin: 'user', sealedToken, now: this.now() }),
    );
    await this.domain.cluster.handle(id);
    return id;
  }

  async wish(id: ClusterId, wish: { desired?: Cluster['desired']; spec?: Partial<ClusterSpec> }): Promise<void> {
    const before = await this.show(id);
    await this.database.transaction(tx =>
      setWish(tx, id, { desired: wish.desired ?? before.desired, spec: { ...before.spec, ...wish.spec } }),
    );
    await this.domain.cluster.handle(id);
  }

  async show(id: ClusterId): Promise<Cluster> {
    const { rows } = await this.database.query('SELECT * FROM clusters WHERE id = $1', [id]);
    return toCluster(this.database, rows[0] as never);
  }

  /** Does what the wake-ups ask for, until none is left. */
  async settle(): Promise<void> {
    for (;;) {
      const { rows } = await this.database.query<{ topic: string; key: string }>(
        'DELETE FROM outbox RETURNING topic, key',
      );
      const keys = new Set(rows.filter(row => row.topic === 'cluster').map(row => row.key));
      if (keys.size === 0) return;
      for (const key of keys) await this.domain.cluster.handle(key);
    }
  }

  async sweep(): Promise<void> {
    for (const key of await this.domain.cluster.sweep()) await this.domain.cluster.handle(key);
    await this.settle();
  }

  /** The sweep as it is so much later. */
  async sweepAfter(ms: number): Promise<void> {
    const later = Date.now() + ms;
    this.now = () => new Date(later);
    await this.sweep();
    this.now = () => new Date();
  }

  async reasons(subject: string): Promise<string[]> {
    const { rows } = await this.database.query<{ reason: string }>(
      'SELECT reason FROM events WHERE subject = $1 ORDER BY sequence',
      [subject],
    );
    return rows.map(row => row.reason);
  }
}
