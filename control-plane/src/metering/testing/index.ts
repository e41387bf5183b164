/** For this domain's tests: leases on record that have been held for a while, and a meter over them. */
import type { ClusterId, LeaseId, NodeId } from '@iocloud/contracts';
import { meteredLeases } from '../../clusters/index.js';
import type { SimulatedAgent, Trial } from '../../clusters/testing/index.js';
import { meteredMachines } from '../../inventory/index.js';
import type { Transaction } from '../../platform/index.js';
import type { TestKey } from '../../test-ground.js';
import { endedLeases } from '../lines.js';
import { type MeterWiring, meter } from '../meter.js';

export const hourMs = 3_600_000;
const device = (index: number) => ({
  index,
  uuid: `GPU-${index}`,
  vendor: 'nvidia' as const,
  model: 'NVIDIA H100 80GB HBM3',
  memoryBytes: 80 * 2 ** 30,
  simulated: true,
});

export class MeterTrial {
  /** Clusters that billing was told of. */
  readonly told: ClusterId[] = [];
  /** The beginning of the running hour. */
  readonly hour = Math.floor(Date.now() / hourMs) * hourMs;

  constructor(
    readonly trial: Trial,
    readonly owner: TestKey,
  ) {}

  wiring(changes: Partial<MeterWiring> = {}): MeterWiring {
    return {
      database: this.trial.database,
      leases: meteredLeases,
      machines: meteredMachines,
      windowSeconds: 3600,
      graceSeconds: 0,
      prometheus: null,
      onUsage: async (_tx: Transaction, clusterIds) => void this.told.push(...clusterIds),
      ...changes,
    };
  }

  /** The only one on which something is placed from now on. */
  async machine(): Promise<SimulatedAgent> {
    await this.trial.database.query('UPDATE nodes SET removed_at = created_at WHERE removed_at IS NULL');
    const devices = [0, 1, 2, 3].map(device);
    return this.trial.machine(this.owner.tenantId, { devices }, true);
  }

  /** A cluster of one Ray node with so many accelerators, ready since then. */
  async held(agent: SimulatedAgent, gpus: number, fromMs: number, tenant = this.owner) {
    const name = `c${fromMs % 1e8}-${agent.nodeId.slice(-6)}-${gpus}`;
    const clusterId = await this.trial.create(tenant.tenantId, { name, head: { cpus: 1, gpus } });
    await agent.obey();
    const leaseId = await this.leaseOf(clusterId);
    await this.since(leaseId, fromMs);
    return { clusterId, leaseId };
  }

  async leaseOf(clusterId: ClusterId, role = 'head'): Promise<LeaseId> {
    const { rows } = await this.trial.database.query<{ id: LeaseId; phase: string }>(
      'SELECT id, phase FROM leases WHERE cluster_id = $1 AND role = $2',
      [clusterId, role],
    );
    if (rows[0]?.phase !== 'ready') throw new Error(`the lease is ${rows[0]?.phase ?? 'not there'}`);
    return rows[0].id;
  }

  async since(leaseId: LeaseId, fromMs: number): Promise<void> {
    await this.trial.database.query('UPDATE leases SET created_at = $2, ready_at = $2 WHERE id = $1', [
      leaseId,
      new Date(fromMs),
    ]);
  }

  async release(leaseId: LeaseId, atMs: number): Promise<void> {
    await this.trial.database.query('UPDATE leases SET desired = false, released_at = $2 WHERE id = $1', [
      leaseId,
      new Date(atMs),
    ]);
    await this.trial.database.query('UPDATE lease_devices SET released = true WHERE lease_id = $1', [leaseId]);
  }

  async heartbeat(nodeId: NodeId, atMs: number): Promise<void> {
    await this.trial.database.query(
      `INSERT INTO node_heartbeats (node_id, at) VALUES ($1, $2) ON CONFLICT (node_id) DO UPDATE SET at = excluded.at`,
      [nodeId, new Date(atMs)],
    );
  }

  look(leaseIds: LeaseId[], changes: Partial<MeterWiring> = {}): Promise<ClusterId[]> {
    return meter(this.wiring(changes), leaseIds, { ended: false });
  }

  async end(clusterId: ClusterId, changes: Partial<MeterWiring> = {}): Promise<void> {
    await meter(this.wiring(changes), await endedLeases(this.trial.database, clusterId), { ended: true });
  }

  async lines(leaseId: LeaseId) {
    const { rows } = await this.trial.database.query<{
      hour: number;
      revision: number;
      billable: number;
      allocated: number;
      devices: number;
      cpu: number;
      evidence: { source: string; closedUntil: string };
    }>(
      `SELECT extract(epoch FROM window_start - $2)::int / window_seconds AS hour, revision, billable_ms AS billable,
         allocated_ms AS allocated, device_billable_ms AS devices, cpu_ms AS cpu, evidence
       FROM usage_lines WHERE lease_id = $1 ORDER BY window_start, revision`,
      [leaseId, new Date(this.hour)],
    );
    return rows;
  }

  /** Of each window: what its lines come to. */
  async billable(leaseId: LeaseId): Promise<Map<number, number>> {
    const sums = new Map<number, number>();
    for (const { hour, billable } of await this.lines(leaseId)) sums.set(hour, (sums.get(hour) ?? 0) + billable);
    return sums;
  }
}
