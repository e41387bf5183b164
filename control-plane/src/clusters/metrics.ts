/** What happens to clusters, counted when it has been committed; and what there is of them, read from the database. */
import type { ClusterPhase } from '@iocloud/contracts';
import {
  afterCommit,
  counter,
  Durations,
  gauge,
  type StateSource,
  setAll,
  type Transaction,
  waitBuckets,
} from '../platform/index.js';
import type { Plan } from './facts.js';
import type { ClusterRow } from './store.js';

const clusters = gauge('iocloud_clusters', 'Clusters that are not deleted', ['phase', 'origin']);
const oldest = gauge('iocloud_clusters_oldest_in_phase_seconds', 'The longest time in a phase that should pass', [
  'phase',
]);
const transitions = counter('iocloud_cluster_transitions_total', 'Changes of phase', ['from', 'to']);
const inPhase = new Durations(
  'iocloud_cluster_phase_duration_seconds',
  'Time in a phase, at its end',
  ['phase'],
  waitBuckets,
);
const provisioned = new Durations(
  'iocloud_cluster_provisioning_duration_seconds',
  'From the wish to ready, the first time',
  ['origin'],
  waitBuckets,
);
const placements = counter('iocloud_cluster_placements_total', 'Looks at clusters that had Ray nodes to place', [
  'result',
]);
const leases = gauge('iocloud_leases', 'Ray nodes on machines that are not released', ['role', 'phase']);
const lost = counter('iocloud_leases_lost_total', 'Leases given up because their machine went silent');

/** What a look has made of a cluster. */
export function countLook(tx: Transaction, row: ClusterRow, plan: Plan, now: Date): void {
  afterCommit(tx, () => {
    if (plan.start.length > 0) placements.inc({ result: 'placed' });
    if (plan.refused) placements.inc({ result: plan.refused.isForMoney ? 'unpaid' : 'no_capacity' });
    if (plan.lose.length > 0) lost.inc(plan.lose.length);
    if (plan.phase === row.phase) return;
    transitions.inc({ from: row.phase, to: plan.phase });
    const since = row.phase_since ?? row.created_at;
    inPhase.observe({ phase: row.phase }, (now.getTime() - since.getTime()) / 1_000);
    // A head that is lost brings it back to pending; only the first time is from the wish.
    if (plan.phase === 'ready' && row.ready_at === null) {
      provisioned.observe({ origin: row.origin }, (now.getTime() - row.created_at.getTime()) / 1_000);
    }
  });
}

const phases: ClusterPhase[] = ['pending', 'provisioning', 'ready', 'stopping', 'stopped', 'deleting'];
const passing: ClusterPhase[] = ['pending', 'provisioning', 'stopping', 'deleting'];
const origins = ['user', 'job'] as const;
const roles = ['head', 'worker'] as const;
const leasePhases = ['pending', 'starting', 'ready', 'exited', 'lost'] as const;

export const clusterState: StateSource = {
  name: 'clusters',
  read: async db => {
    const { rows } = await db.query<{ phase: ClusterPhase; origin: string; clusters: number; age: number }>(
      `SELECT phase, origin, count(*)::int AS clusters,
         greatest(0, extract(epoch FROM now() - min(coalesce(phase_since, created_at))))::float8 AS age
       FROM clusters WHERE phase <> 'deleted' GROUP BY 1, 2`,
    );
    const of = (phase: string, origin: string) => rows.find(row => row.phase === phase && row.origin === origin);
    setAll(
      clusters,
      phases.flatMap(phase =>
        origins.map(origin => ({ labels: { phase, origin }, value: of(phase, origin)?.clusters ?? 0 })),
      ),
    );
    setAll(
      oldest,
      passing.map(phase => ({
        labels: { phase },
        value: Math.max(...origins.map(origin => of(phase, origin)?.age ?? 0)),
      })),
    );
    const { rows: held } = await db.query<{ role: string; phase: string; leases: number }>(
      'SELECT role, phase, count(*)::int AS leases FROM leases WHERE released_at IS NULL GROUP BY 1, 2',
    );
    setAll(
      leases,
      roles.flatMap(role =>
        leasePhases.map(phase => ({
          labels: { role, phase },
          value: held.find(row => row.role === role && row.phase === phase)?.leases ?? 0,
        })),
      ),
    );
  },
};
