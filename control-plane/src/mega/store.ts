/** The rows of Mega-Ray clusters and of their cells. */
import type { ClusterId, MegaCluster, MegaClusterId, MegaCondition, MegaPhase, TenantId } from '@iocloud/contracts';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';

export type StoredSpec = MegaCluster['spec'];

export interface MegaRow {
  id: MegaClusterId;
  tenant_id: TenantId;
  name: string;
  spec: StoredSpec;
  desired: 'running' | 'deleted';
  phase: MegaPhase;
  generation: number;
  observed_generation: number;
  revision: number;
  conditions: MegaCondition[];
  created_at: Date;
  ready_at: Date | null;
}

export interface CellRow {
  cluster_id: ClusterId;
  mega_id: MegaClusterId;
  ordinal: number;
  revision: number;
  leaving: string | null;
  leaves_by: Date | null;
  gone_at: Date | null;
}

const noMega = (reference: string) =>
  new Failure('not-found', `no Mega-Ray cluster ${reference}; \`iocloud mega-cluster list\` shows yours`);

/** By id, or by the name of one that is not deleted. */
export async function findMega(db: Queryable, tenantId: TenantId, reference: string): Promise<MegaRow | null> {
  const { rows } = await db.query<MegaRow>({
    name: 'find-mega-cluster',
    text: `SELECT * FROM mega_clusters WHERE tenant_id = $1 AND (id = $2 OR (name = $2 AND phase <> 'deleted'))
           ORDER BY id = $2 DESC LIMIT 1`,
    values: [tenantId, reference],
  });
  return rows[0] ?? null;
}

/** Throws Failure 'not-found'. */
export async function getMega(db: Queryable, tenantId: TenantId, reference: string): Promise<MegaRow> {
  const row = await findMega(db, tenantId, reference);
  if (!row) throw noMega(reference);
  return row;
}

/** Throws Failure 'not-found'. */
export async function lockMega(tx: Transaction, tenantId: TenantId, reference: string): Promise<MegaRow> {
  const { id } = await getMega(tx, tenantId, reference);
  const { rows } = await tx.query<MegaRow>('SELECT * FROM mega_clusters WHERE id = $1 FOR UPDATE', [id]);
  if (!rows[0]) throw noMega(reference);
  return rows[0];
}

/** Newest first, without the deleted ones. */
export async function listMegas(
  db: Queryable,
  tenantId: TenantId,
  page: { limit: number; after: string | null },
): Promise<MegaRow[]> {
  const { rows } = await db.query<MegaRow>(
    `SELECT * FROM mega_clusters WHERE tenant_id = $1 AND phase <> 'deleted'
       AND ($2::text IS NULL
         OR (created_at, id) < (SELECT created_at, id FROM mega_clusters WHERE tenant_id = $1 AND id = $2))
     ORDER BY created_at DESC, id DESC LIMIT $3`,
    [tenantId, page.after, page.limit],
  );
  return rows;
}

/** Throws Failure 'already-exists' when a live cluster of either kind has the name. */
export async function insertMega(
  tx: Transaction,
  mega: { id: MegaClusterId; tenantId: TenantId; spec: StoredSpec; now: Date },
): Promise<MegaRow> {
  const { rows } = await tx.query<MegaRow>(
    `INSERT INTO mega_clusters (id, tenant_id, name, spec, created_at)
     SELECT $1::text, $2::text, $3::text, $4::jsonb, $5::timestamptz
     WHERE NOT EXISTS (SELECT 1 FROM clusters WHERE tenant_id = $2 AND name = $3 AND phase <> 'deleted')
     ON CONFLICT DO NOTHING RETURNING *`,
    [mega.id, mega.tenantId, mega.spec.name, JSON.stringify(mega.spec), mega.now],
  );
  if (!rows[0]) {
    throw new Failure('already-exists', `a cluster named ${mega.spec.name} exists; choose another name or delete it`);
  }
  return rows[0];
}

/** A new wish: the generation grows, and the revision where cells shall be otherwise. */
export async function setMegaWish(
  tx: Transaction,
  id: MegaClusterId,
  wish: { desired: MegaRow['desired']; spec: StoredSpec; revised: boolean },
): Promise<void> {
  await tx.query(
    `UPDATE mega_clusters SET desired = $2, spec = $3, generation = generation + 1, revision = revision + $4 WHERE id = $1`,
    [id, wish.desired, JSON.stringify(wish.spec), wish.revised ? 1 : 0],
  );
}

export async function writeMega(
  tx: Transaction,
  id: MegaClusterId,
  status: Pick<MegaRow, 'phase' | 'conditions' | 'observed_generation' | 'ready_at'> & {
    lookAt: Date | null;
    now: Date;
  },
): Promise<void> {
  await tx.query(
    `UPDATE mega_clusters SET phase = $2, conditions = $3, observed_generation = $4, ready_at = $5, look_at = $6,
       deleted_at = CASE WHEN $2 = 'deleted' THEN $7::timestamptz END WHERE id = $1`,
    [
      id,
      status.phase,
      JSON.stringify(status.conditions),
      status.observed_generation,
      status.ready_at,
      status.lookAt,
      status.now,
    ],
  );
}

/** All that it ever had, those first that are there. */
export async function cellsOf(db: Queryable, megaIds: MegaClusterId[]): Promise<Map<MegaClusterId, CellRow[]>> {
  const { rows } = await db.query<CellRow>({
    name: 'cells-of-megas',
    text: `SELECT cluster_id, mega_id, ordinal, revision, leaving, leaves_by, gone_at FROM mega_cells
           WHERE mega_id = ANY($1) ORDER BY mega_id, gone_at IS NOT NULL, ordinal, cluster_id`,
    values: [megaIds],
  });
  const byMega = new Map<MegaClusterId, CellRow[]>(megaIds.map(id => [id, []]));
  for (const row of rows) byMega.get(row.mega_id)?.push(row);
  return byMega;
}

export async function insertCell(
  tx: Transaction,
  mega: MegaRow,
  cell: { clusterId: ClusterId; ordinal: number },
): Promise<void> {
  await tx.query(
    'INSERT INTO mega_cells (cluster_id, tenant_id, mega_id, ordinal, revision) VALUES ($1, $2, $3, $4, $5)',
    [cell.clusterId, mega.tenant_id, mega.id, cell.ordinal, mega.revision],
  );
}

export async function markLeaving(tx: Transaction, clusterId: ClusterId, why: string, by: Date): Promise<void> {
  await tx.query('UPDATE mega_cells SET leaving = $2, leaves_by = $3 WHERE cluster_id = $1', [clusterId, why, by]);
}

export async function markGone(tx: Transaction, clusterIds: ClusterId[], now: Date): Promise<void> {
  if (clusterIds.length === 0) return;
  await tx.query('UPDATE mega_cells SET gone_at = $2 WHERE cluster_id = ANY($1)', [clusterIds, now]);
}
