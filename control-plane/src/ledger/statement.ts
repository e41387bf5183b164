/** Accounts and transactions as they are read. Balances and amounts come as text: they may be larger than a number holds. */
import {
  type AccountKind,
  type Asset,
  type LedgerAccount,
  type LedgerTransaction,
  type TenantId,
  type TransactionKind,
  unitsInWords,
} from '@iocloud/contracts';
import type { Entry } from '../core/billing/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';

interface AccountColumns {
  kind: AccountKind;
  asset: Asset;
  tenant_id: TenantId | null;
  hold: string | null;
}

/** `tenantId` null: of all tenants and of the network. */
export async function listAccounts(
  db: Queryable,
  tenantId: TenantId | null,
  { after, limit, closed }: { after?: string | undefined; limit: number; closed: boolean },
): Promise<LedgerAccount[]> {
  const { rows } = await db.query<AccountColumns & { id: number; balance: string; closed: boolean }>(
    `SELECT a.id, a.kind, a.asset, a.tenant_id, a.hold, b.balance::text, b.closed
     FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     WHERE ($1::text IS NULL OR a.tenant_id = $1) AND a.id > $2 AND ($4 OR NOT b.closed) ORDER BY a.id LIMIT $3`,
    [tenantId, after ?? '0', limit, closed],
  );
  return rows.map(row => ({
    id: row.id,
    kind: row.kind,
    asset: row.asset,
    tenantId: row.tenant_id,
    hold: row.hold,
    closed: row.closed,
    balance: unitsInWords(BigInt(row.balance), row.asset),
  }));
}

interface TransactionRow {
  id: number;
  at: Date;
  kind: TransactionKind;
  memo: string;
  detail: Record<string, string>;
  actor: string;
  reverses: string | null;
  reversed_by: string | null;
  entries: (AccountColumns & { amount: string })[];
}

/** Of a tenant its own entries and those of the network: who was at the other end is nobody's business. */
const transactionColumns = `t.id, t.at, t.kind, t.memo, t.detail, t.actor, t.reverses::text,
  (SELECT r.id::text FROM ledger_transactions r WHERE r.reverses = t.id) AS reversed_by,
  (SELECT json_agg(json_build_object('kind', a.kind, 'asset', a.asset, 'tenant_id', a.tenant_id, 'hold', a.hold,
     'amount', p.amount::text) ORDER BY p.line)
   FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
   WHERE p.transaction_id = t.id AND ($1::text IS NULL OR a.tenant_id IS NULL OR a.tenant_id = $1)) AS entries`;

const toTransaction = (row: TransactionRow): LedgerTransaction => ({
  id: row.id,
  at: row.at.toISOString(),
  kind: row.kind,
  memo: row.memo,
  detail: row.detail,
  actor: row.actor,
  reverses: row.reverses === null ? null : Number(row.reverses),
  reversedBy: row.reversed_by === null ? null : Number(row.reversed_by),
  entries: row.entries.map(({ kind, asset, tenant_id, hold, amount }) => ({
    kind,
    asset,
    tenantId: tenant_id,
    hold,
    amount: unitsInWords(BigInt(amount), asset),
  })),
});

/** Newest first. `tenantId` null: all of the ledger. */
export async function listTransactions(
  db: Queryable,
  tenantId: TenantId | null,
  { after, limit }: { after?: string | undefined; limit: number },
): Promise<LedgerTransaction[]> {
  const before = after ?? String(Number.MAX_SAFE_INTEGER);
  // The newest of each account first: what the index gives without reading an account's whole history.
  const ids =
    tenantId === null
      ? 'SELECT id FROM ledger_transactions WHERE id < $2 ORDER BY id DESC LIMIT $3'
      : `SELECT DISTINCT newest.id FROM ledger_accounts a CROSS JOIN LATERAL (
           SELECT p.transaction_id AS id FROM ledger_postings p WHERE p.account_id = a.id AND p.transaction_id < $2
           ORDER BY p.transaction_id DESC LIMIT $3) newest
         WHERE a.tenant_id = $1 ORDER BY newest.id DESC LIMIT $3`;
  const { rows } = await db.query<TransactionRow>(
    `SELECT ${transactionColumns} FROM ledger_transactions t WHERE t.id IN (${ids}) ORDER BY t.id DESC`,
    [tenantId, before, limit],
  );
  return rows.map(toTransaction);
}

/** `tenantId` null: any. Throws Failure 'not-found', also for one of others. */
export async function getTransaction(db: Queryable, tenantId: TenantId | null, id: number): Promise<LedgerTransaction> {
  const [transaction] = await listTransactionsOf(db, tenantId, [id]);
  if (!transaction) throw new Failure('not-found', `no transaction ${id}`);
  return transaction;
}

/** Those of them that the tenant (null: anybody) has a part in, in their order. */
export async function listTransactionsOf(
  db: Queryable,
  tenantId: TenantId | null,
  ids: readonly number[],
): Promise<LedgerTransaction[]> {
  const { rows } = await db.query<TransactionRow>(
    `SELECT ${transactionColumns} FROM ledger_transactions t WHERE t.id = ANY ($2) AND ($1::text IS NULL OR EXISTS (
       SELECT FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
       WHERE p.transaction_id = t.id AND a.tenant_id = $1)) ORDER BY t.id`,
    [tenantId, ids],
  );
  return rows.map(toTransaction);
}

/** With all balances locked that its reversal may move, so that no hold is closed meanwhile. Throws Failure 'not-found'. */
export async function readForReversal(
  tx: Transaction,
  id: number,
): Promise<{ kind: TransactionKind; entries: Entry[]; closedHolds: Set<string> }> {
  await tx.query(
    `SELECT 1 FROM ledger_balances WHERE account_id IN (
       SELECT account_id FROM ledger_postings WHERE transaction_id = $1
       UNION ALL
       SELECT renter.id FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
       JOIN ledger_accounts renter ON renter.name = concat_ws(':', 'available', a.asset, a.tenant_id)
       WHERE p.transaction_id = $1 AND a.kind = 'escrow')
     ORDER BY account_id FOR NO KEY UPDATE`,
    [id],
  );
  const { rows } = await tx.query<
    AccountColumns & { transaction_kind: TransactionKind; amount: string; closed: boolean }
  >(
    `SELECT t.kind AS transaction_kind, a.kind, a.asset, a.tenant_id, a.hold, p.amount::text, b.closed
     FROM ledger_transactions t JOIN ledger_postings p ON p.transaction_id = t.id
     JOIN ledger_accounts a ON a.id = p.account_id JOIN ledger_balances b ON b.account_id = a.id
     WHERE t.id = $1 ORDER BY p.line`,
    [id],
  );
  const kind = rows[0]?.transaction_kind;
  if (!kind) throw new Failure('not-found', `no transaction ${id}`);
  return {
    kind,
    entries: rows.map(row => ({
      account: { kind: row.kind, asset: row.asset, tenantId: row.tenant_id, hold: row.hold },
      amount: BigInt(row.amount),
    })),
    closedHolds: new Set(rows.flatMap(({ hold, closed }) => (closed && hold !== null ? [hold] : []))),
  };
}
