/** What transactions of usage moved, for who checks them against the usage. */
import type { AccountKind, Asset, TenantId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface PostedSum {
  transactionId: number;
  kind: AccountKind;
  asset: Asset;
  tenantId: TenantId | null;
  amount: bigint;
}

export async function postingsOf(db: Queryable, transactionIds: readonly number[]): Promise<PostedSum[]> {
  const { rows } = await db.query<{
    id: number;
    kind: AccountKind;
    asset: Asset;
    tenant_id: TenantId | null;
    amount: string;
  }>({
    name: 'ledger-postings-of',
    text: `SELECT p.transaction_id AS id, a.kind, a.asset, a.tenant_id, p.amount::text
           FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id WHERE p.transaction_id = ANY ($1::bigint[])`,
    values: [transactionIds],
  });
  return rows.map(({ id, kind, asset, tenant_id, amount }) => {
    return { transactionId: id, kind, asset, tenantId: tenant_id, amount: BigInt(amount) };
  });
}

/** Of transactions of usage: those that `charged`, a query of transaction ids, does not give. */
export async function usageWithoutCharge(db: Queryable, charged: string): Promise<{ id: number; key: string }[]> {
  const { rows } = await db.query<{ id: number; key: string }>(
    `SELECT t.id, t.idempotency_key AS key FROM ledger_transactions t
     WHERE t.idempotency_key LIKE 'usage:%' AND NOT EXISTS (SELECT FROM (${charged}) c (id) WHERE c.id = t.id)
     ORDER BY t.id LIMIT 100`,
  );
  return rows;
}
