/** The terms by which tenants' work is queued, in the queue's own units, and as the contracts say them. */
import {
  type QueueAmounts,
  type QueueTerms,
  queueResources,
  queueTerms,
  type TenantId,
  type TenantQueue,
} from '@iocloud/contracts';
import type { Demand, TenantTerms } from '../core/queueing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';

/** What work of a tenant holds and how much of it waits: of the domain that keeps the jobs. */
export type QueueUse = Pick<TenantQueue, 'held' | 'running' | 'waiting'>;

interface TermsRow {
  tenant_id: TenantId;
  weight: number;
  quota: Demand | null;
  cohort: string | null;
  borrowing_limit: Demand;
}

const unitOf = {
  gpus: { name: 'gpu-thousandths', perOne: 1_000 },
  cpus: { name: 'cpu-thousandths', perOne: 1_000 },
  memoryBytes: { name: 'memory-bytes', perOne: 1 },
} as const satisfies Record<keyof QueueAmounts, { name: string; perOne: number }>;

function demandOf(amounts: QueueAmounts): Demand {
  const demand: Record<string, number> = {};
  for (const resource of queueResources) {
    const amount = amounts[resource];
    const { name, perOne } = unitOf[resource];
    if (amount !== undefined) demand[name] = Math.round(amount * perOne);
  }
  return demand;
}

function amountsOf(demand: Demand): QueueAmounts {
  const amounts: QueueAmounts = {};
  for (const resource of queueResources) {
    const { name, perOne } = unitOf[resource];
    const count = demand[name];
    if (count !== undefined) amounts[resource] = count / perOne;
  }
  return amounts;
}

const coreTermsOf = (row: TermsRow): TenantTerms => ({
  tenantId: row.tenant_id,
  weight: row.weight,
  quota: row.quota,
  cohort: row.cohort,
  borrowingLimit: row.borrowing_limit,
});

/** Of a tenant that none were set for. */
export const defaultTermsOf = (tenantId: string): TenantTerms => ({
  tenantId,
  weight: 1,
  quota: null,
  cohort: null,
  borrowingLimit: {},
});

/** The terms of those tenants whose terms are not the defaults, in the order of their ids. */
export async function queueTermsOf(db: Queryable): Promise<TenantTerms[]> {
  const { rows } = await db.query<TermsRow>({
    name: 'queue-terms',
    text: 'SELECT tenant_id, weight, quota, cohort, borrowing_limit FROM queue_terms ORDER BY tenant_id',
  });
  return rows.map(coreTermsOf);
}

/** Of a tenant that exists; as the API says them. */
export async function readQueueTerms(db: Queryable, tenantId: TenantId): Promise<QueueTerms> {
  const { rows } = await db.query<TermsRow>(
    'SELECT tenant_id, weight, quota, cohort, borrowing_limit FROM queue_terms WHERE tenant_id = $1',
    [tenantId],
  );
  const { weight, quota, cohort, borrowingLimit } = rows[0] ? coreTermsOf(rows[0]) : defaultTermsOf(tenantId);
  return { weight, quota: quota && amountsOf(quota), cohort, borrowingLimit: amountsOf(borrowingLimit) };
}

const defaults = queueTerms.parse({});

/** Terms that are the defaults leave no row. Repeating it changes nothing. */
export async function writeQueueTerms(tx: Transaction, tenantId: TenantId, terms: QueueTerms): Promise<void> {
  if (sameTerms(terms, defaults)) {
    await tx.query('DELETE FROM queue_terms WHERE tenant_id = $1', [tenantId]);
    return;
  }
  await tx.query(
    `INSERT INTO queue_terms (tenant_id, weight, quota, cohort, borrowing_limit) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (tenant_id) DO UPDATE SET weight = excluded.weight, quota = excluded.quota, cohort = excluded.cohort,
       borrowing_limit = excluded.borrowing_limit, changed_at = now()`,
    [
      tenantId,
      terms.weight,
      terms.quota && JSON.stringify(demandOf(terms.quota)),
      terms.cohort,
      JSON.stringify(demandOf(terms.borrowingLimit)),
    ],
  );
}

const sameAmounts = (left: QueueAmounts | null, right: QueueAmounts | null) =>
  (left === null) === (right === null) && queueResources.every(resource => left?.[resource] === right?.[resource]);

export const sameTerms = (left: QueueTerms, right: QueueTerms): boolean =>
  left.weight === right.weight &&
  left.cohort === right.cohort &&
  sameAmounts(left.quota, right.quota) &&
  sameAmounts(left.borrowingLimit, right.borrowingLimit);

/** `weight 2, quota 8 gpus and 64 cpus, cohort research, borrows at most 4 gpus`. */
export function termsInWords({ weight, quota, cohort, borrowingLimit }: QueueTerms): string {
  const words = (amounts: QueueAmounts) =>
    queueResources
      .filter(resource => amounts[resource] !== undefined)
      .map(resource => `${amounts[resource]} ${resource}`)
      .join(' and ');
  const borrowed = words(borrowingLimit);
  return [
    `weight ${weight}`,
    quota === null ? 'no quota' : `quota ${words(quota)}`,
    ...(cohort === null ? [] : [`cohort ${cohort}`]),
    ...(borrowed === '' ? [] : [`borrows at most ${borrowed}`]),
  ].join(', ');
}
