/** Mega-Ray clusters as the API shows them. */
import type { ClusterId, MegaCell, MegaCluster, MegaClusterId } from '@iocloud/contracts';
import type { Cells, CellView } from '../clusters/ports.js';
import type { Queryable } from '../platform/index.js';
import { type CellRow, cellsOf, type MegaRow } from './store.js';

export const indexPath = (id: MegaClusterId): string => `/clusters/mega/${id}/`;
const jobsPath = (id: MegaClusterId): string => `/mega-clusters/${id}`;

export async function toMega(db: Queryable, cells: Cells, row: MegaRow): Promise<MegaCluster> {
  const [mega] = await toMegas(db, cells, [row]);
  if (!mega) throw new Error('one row makes one Mega-Ray cluster');
  return mega;
}

/** All of one tenant. */
export async function toMegas(db: Queryable, cells: Cells, rows: MegaRow[]): Promise<MegaCluster[]> {
  const [first] = rows;
  if (!first) return [];
  const owned = await cellsOf(
    db,
    rows.map(row => row.id),
  );
  const ids = [...owned.values()].flat().map(cell => cell.cluster_id);
  const views = await cells.read(db, first.tenant_id, ids);
  return rows.map(row => megaOf(row, owned.get(row.id) ?? [], views));
}

function megaOf(row: MegaRow, all: CellRow[], views: ReadonlyMap<ClusterId, CellView>): MegaCluster {
  const there = all.flatMap(cell => {
    const view = views.get(cell.cluster_id);
    return cell.gone_at === null && view && view.phase !== 'deleted' ? [{ cell, view }] : [];
  });
  const cells = there.map(({ cell, view }) => cellOf(row, cell, view));
  const total = (amount: 'microUsdPerHour' | 'spentMicroUsd') =>
    all.reduce((sum, cell) => sum + (views.get(cell.cluster_id)?.[amount] ?? 0), 0);
  return {
    id: row.id,
    spec: row.spec,
    desired: row.desired,
    phase: row.phase,
    generation: row.generation,
    observedGeneration: row.observed_generation,
    conditions: row.conditions,
    readyCells: cells.filter(({ health, leaving }) => health === 'ready' && leaving === null).length,
    cells,
    microUsdPerHour: total('microUsdPerHour'),
    spentMicroUsd: total('spentMicroUsd'),
    jobsPath: jobsPath(row.id),
    indexPath: indexPath(row.id),
    createdAt: row.created_at.toISOString(),
    readyAt: row.ready_at?.toISOString() ?? null,
  };
}

const cellOf = (mega: MegaRow, cell: CellRow, view: CellView): MegaCell => ({
  clusterId: cell.cluster_id,
  name: view.name,
  ordinal: cell.ordinal,
  health: view.health,
  phase: view.phase,
  message: view.message,
  upToDate: cell.revision === mega.revision,
  leaving: cell.leaving,
  jobs: view.jobs,
  dashboardPath: view.dashboardPath,
});
