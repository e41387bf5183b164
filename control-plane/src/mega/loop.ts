/**
 * Brings one Mega-Ray cluster towards what it shall be: reads its cells under a lock, asks the pure plan, and writes all
 * of it in the same transaction. Killed anywhere, nothing of it has happened, and the sweep comes again.
 */
import type { ClusterId, MegaClusterId, TenantId } from '@iocloud/contracts';
import type { Cells, CellView } from '../clusters/ports.js';
import { type Cell, type Departure, type MegaPlan, megaEvent, megaTransitions, planCells } from '../core/mega/index.js';
import { recordEvent } from '../events/index.js';
import { Failure, type Transaction } from '../platform/index.js';
import { cellSpec } from './cell-spec.js';
import { conditionsOf } from './conditions.js';
import { type CellRow, cellsOf, insertCell, type MegaRow, markGone, markLeaving, writeMega } from './store.js';

export interface LoopWiring {
  cells: Cells;
  now(): Date;
}

/** A head that has not come up on its machines for so long gets others, with all that is below it. */
const giveUpAfterMs = 600_000;

/** One look. Returns whose history has got longer by it, or null. */
export async function step(tx: Transaction, wiring: LoopWiring, id: MegaClusterId): Promise<TenantId | null> {
  const { rows } = await tx.query<MegaRow>(
    `SELECT * FROM mega_clusters WHERE id = $1 AND phase <> 'deleted' FOR UPDATE`,
    [id],
  );
  const [mega] = rows;
  if (!mega) return null;
  const now = wiring.now();
  const there = ((await cellsOf(tx, [id])).get(id) ?? []).filter(({ gone_at }) => gone_at === null);
  const views = await wiring.cells.read(tx, mega.tenant_id, idsOf(there));
  const gone = there.filter(({ cluster_id }) => (views.get(cluster_id)?.phase ?? 'deleted') === 'deleted');
  await markGone(tx, idsOf(gone), now);
  const left = there.filter(cell => !gone.includes(cell));
  const cells = left.flatMap(row => cellOf(row, views.get(row.cluster_id)));
  const plan = planCells(
    { ...mega.spec, desired: mega.desired, revision: mega.revision, giveUpAfterMs },
    cells,
    now.getTime(),
  );
  const refused = await carryOut(tx, wiring, mega, plan, now);
  const isNews = await writeStatus(tx, mega, { cells, plan, views, refused }, now);
  return isNews || plan.create.length + plan.leave.length + plan.remove.length > 0 ? mega.tenant_id : null;
}

const idsOf = (rows: readonly CellRow[]): ClusterId[] => rows.map(row => row.cluster_id);

function cellOf(row: CellRow, view: CellView | undefined): Cell[] {
  if (!view) return [];
  return [
    {
      id: row.cluster_id,
      ordinal: row.ordinal,
      revision: row.revision,
      health: view.health,
      jobs: view.jobs,
      failingSinceMs: view.failingSince?.getTime() ?? null,
      leavesByMs: row.leaves_by?.getTime() ?? null,
      isGoing: view.phase === 'deleting',
    },
  ];
}

/** Returns why a cell could not be made. */
async function carryOut(
  tx: Transaction,
  { cells }: LoopWiring,
  mega: MegaRow,
  plan: MegaPlan,
  now: Date,
): Promise<string | null> {
  const { tenant_id: tenantId, spec } = mega;
  const deadline = new Date(now.getTime() + spec.drainSeconds * 1_000);
  for (const { id, why } of [...plan.leave].sort(byId)) {
    await cells.retire(tx, tenantId, id, { reason: `is ${words[why]}`, deadline });
    await markLeaving(tx, id, words[why], deadline);
    await tell(tx, mega, 'CellLeaving', `a cell of ${mega.name} (${id}) is ${words[why]}; its jobs move to the others`);
  }
  for (const id of [...plan.remove].sort()) await cells.remove(tx, tenantId, id);
  for (const ordinal of plan.create) {
    const refused = await create(tx, cells, mega, ordinal);
    if (refused !== null) return refused;
  }
  return null;
}

const byId = (one: { id: string }, other: { id: string }) => (one.id < other.id ? -1 : 1);
const words: Record<Departure, string> = {
  'scaled down': 'one more than is wanted',
  'replaced by an update': 'replaced by one of the newer spec',
  failed: 'given up: its head did not come up',
};

async function create(tx: Transaction, cells: Cells, mega: MegaRow, ordinal: number): Promise<string | null> {
  const { tenant_id: tenantId, id, name, spec } = mega;
  await tx.query('SAVEPOINT cell');
  try {
    const clusterId = await cells.create(tx, {
      tenantId,
      spec: cellSpec(spec, ordinal),
      mega: { id, name },
      spread: spec.spread,
    });
    await insertCell(tx, mega, { clusterId, ordinal });
    await tx.query('RELEASE SAVEPOINT cell');
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    await tx.query('ROLLBACK TO SAVEPOINT cell');
    return error.message;
  }
}

interface Outcome {
  cells: readonly Cell[];
  plan: MegaPlan;
  views: ReadonlyMap<ClusterId, CellView>;
  refused: string | null;
}

/** True when its phase has changed. */
async function writeStatus(
  tx: Transaction,
  mega: MegaRow,
  { cells, plan, views, refused }: Outcome,
  now: Date,
): Promise<boolean> {
  const leaving = new Set([...plan.leave.map(({ id }) => id), ...plan.remove]);
  const standing = cells.filter(cell => !leaving.has(cell.id) && cell.leavesByMs === null && !cell.isGoing);
  const ready = standing.filter(({ health }) => health === 'ready');
  const waiting = standing.find(({ health }) => health !== 'ready');
  const wanted = mega.spec.cells;
  const event = megaEvent(mega.phase, {
    desired: mega.desired,
    cellsWanted: wanted,
    cellsReady: ready.length,
    cellsLeft: cells.length,
  });
  const phase = event === null ? mega.phase : (megaTransitions[mega.phase][event] ?? mega.phase);
  const situation = {
    generation: mega.generation,
    desired: mega.desired,
    wanted,
    ready: ready.length,
    upToDate: standing.filter(({ revision }) => revision === mega.revision).length,
    refused,
    obstacle: waiting ? views.get(waiting.id)?.message || null : null,
  };
  await writeMega(tx, mega.id, {
    phase,
    conditions: conditionsOf(mega.conditions, situation, now),
    observed_generation: mega.generation,
    ready_at: phase === 'ready' ? (mega.ready_at ?? now) : mega.ready_at,
    lookAt: plan.lookAtMs === null ? null : new Date(plan.lookAtMs),
    now,
  });
  const news = phase === mega.phase ? undefined : newsOf(phase, mega, ready.length);
  if (news) await tell(tx, mega, news.reason, news.message, phase === 'degraded' ? 'warning' : 'info');
  return phase !== mega.phase;
}

function newsOf(phase: MegaRow['phase'], { name, spec }: MegaRow, ready: number) {
  const cells = `${ready} of ${spec.cells} cells take jobs`;
  const news: Partial<Record<MegaRow['phase'], { reason: string; message: string }>> = {
    ready: { reason: 'MegaClusterReady', message: `${name} is ready: ${cells}` },
    degraded: { reason: 'MegaClusterDegraded', message: `${name} has lost cells: ${cells}` },
    deleting: { reason: 'MegaClusterDeleting', message: `${name} is being deleted` },
    deleted: { reason: 'MegaClusterDeleted', message: `${name} is deleted, all that it held is free` },
  };
  return news[phase];
}

const tell = (tx: Transaction, mega: MegaRow, reason: string, message: string, severity: 'info' | 'warning' = 'info') =>
  recordEvent(tx, { tenantId: mega.tenant_id, subjectKind: 'cluster', subject: mega.id, reason, message, severity });
