/** Clusters as cells of a Mega-Ray cluster: made, looked at, emptied and ended for it, one by one. */
import { type ClusterId, newId, type TenantId } from '@iocloud/contracts';
import type { Orders } from '../billing/index.js';
import { recordEvent } from '../events/index.js';
import type { Machines } from '../inventory/index.js';
import { type Seal, type Transaction, wake } from '../platform/index.js';
import { refuseImpossible } from './admission.js';
import { live } from './live.js';
import type { Cells, CellView, ClusterActivity } from './ports.js';
import { type ClusterRow, dashboardPath, insertCluster, lockCluster, setWish, spendingOf } from './store.js';
import { newToken } from './token.js';

interface Wiring {
  machines: Machines;
  activity: ClusterActivity;
  orders: Orders;
  seal: Seal;
  random(n: number): Uint8Array;
  now(): Date;
}

/** A cluster that waits for machines or money does not fail: it waits. */
const waits = ['NoCapacity', 'NotPaid'];

export function createCells(wiring: Wiring): Cells {
  return {
    check: (tx, tenantId, spec) => refuseImpossible(tx, wiring, tenantId, spec),

    create: async (tx, { tenantId, spec, mega, spread }) => {
      const id = newId('cluster', wiring.random);
      const sealedToken = wiring.seal.seal(newToken(wiring.random), id);
      const cell = { ...mega, spread };
      await insertCluster(tx, { id, tenantId, spec, origin: 'user', sealedToken, now: wiring.now(), cell });
      await tell(tx, tenantId, id, 'ClusterCreated', `${spec.name} is made as a cell of ${mega.name}`);
      await wake(tx, 'cluster', id);
      return id;
    },

    read: async (db, tenantId, ids) => {
      const { rows } = await db.query<ClusterRow>('SELECT * FROM clusters WHERE tenant_id = $1 AND id = ANY($2)', [
        tenantId,
        ids,
      ]);
      const taking = new Map((await live(wiring.machines)(db, tenantId)).map(view => [view.id, view]));
      const activity = await wiring.activity.of(db, ids);
      const spending = await spendingOf(db, ids, wiring.now());
      return new Map(
        rows.map((row): [ClusterId, CellView] => {
          const view = taking.get(row.id);
          const isReady = view?.phase === 'ready' && view.headLeaseId !== null;
          const message = row.desired === 'running' ? (view?.waitingFor ?? '') : `it is to be ${row.desired}`;
          return [
            row.id,
            {
              name: row.name,
              phase: row.phase,
              health: row.desired !== 'running' ? 'ended' : isReady || isLeaving(row) ? 'ready' : 'starting',
              message: isReady ? '' : message,
              jobs: activity.get(row.id)?.live ?? 0,
              failingSince: isReady ? null : failingSince(row),
              dashboardPath: dashboardPath(row.id),
              ...spending(row.id),
            },
          ];
        }),
      );
    },

    retire: async (tx, tenantId, id, { reason, deadline }) => {
      // Waits for a run of the scheduler that is giving it jobs; the next one sees that it takes none.
      const row = await lockCluster(tx, tenantId, id);
      await tx.query('UPDATE clusters SET leaving = $2 WHERE id = $1', [id, reason]);
      await wiring.activity.evict(tx, id, { cause: 'drained', reason: `its cell ${row.name} ${reason}.`, deadline });
      await wake(tx, 'dispatch', 'all');
    },

    remove: async (tx, tenantId, id) => {
      const row = await lockCluster(tx, tenantId, id);
      if (row.desired === 'deleted') return;
      await setWish(tx, id, { desired: 'deleted', spec: row.spec });
      await tell(tx, tenantId, id, 'DeleteAsked', `${row.name} goes: its cluster ${row.mega_name} no longer needs it`);
      await wake(tx, 'cluster', id);
    },
  };
}

/** It takes no new jobs, and those it has go on. */
const isLeaving = ({ leaving, phase }: ClusterRow) => leaving !== null && phase === 'ready';

/** Since when its head should be up and is not. */
function failingSince({ conditions }: ClusterRow): Date | null {
  const find = (type: string) => conditions.find(condition => condition.type === type);
  const head = find('HeadReady');
  const placed = find('Placed');
  if (head?.status !== 'False' || placed === undefined || waits.includes(placed.reason)) return null;
  return new Date(head.lastTransitionTime);
}

const tell = (tx: Transaction, tenantId: TenantId, subject: ClusterId, reason: string, message: string) =>
  recordEvent(tx, { tenantId, subjectKind: 'cluster', subject, reason, message });
