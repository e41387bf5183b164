/**
 * The one place that writes to the ledger. What goes together goes in one statement: the triggers of 0080_ledger.sql then
 * see it whole, and lock its balances in one order. So a database transaction posts at most once.
 */
import { createHash } from 'node:crypto';
import type { TransactionKind } from '@iocloud/contracts';
import { type Account, type Entry, nameOf } from '../core/billing/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';

export interface Draft {
  /** Unique over the whole ledger: the same key is the same transaction. */
  key: string;
  kind: TransactionKind;
  /** What was asked for: under the same key it must be the same. */
  asked: readonly string[];
  memo: string;
  detail: Record<string, string>;
  /** The user who posts it. */
  actor: string;
  reverses?: number;
  entries: Entry[];
}

export interface Posted {
  id: number;
  /** False: it had been posted before. */
  isNew: boolean;
}

const hashOf = ({ kind, asked }: Pick<Draft, 'kind' | 'asked'>) =>
  createHash('sha256')
    .update(JSON.stringify([kind, ...asked]))
    .digest();

/** In the order of the drafts. Throws Failure 'conflict' where a key came with something else before. */
export async function post(
  tx: Transaction,
  drafts: readonly Draft[],
  /** Ids of all their accounts, where the caller has looked them up. */
  known?: ReadonlyMap<string, string>,
): Promise<Posted[]> {
  const byKey = new Map<string, { draft: Draft; hash: Buffer }>();
  for (const draft of drafts) {
    const hash = hashOf(draft);
    const before = byKey.get(draft.key);
    if (before && !before.hash.equals(hash)) throw otherContent(draft);
    if (!before) byKey.set(draft.key, { draft, hash });
  }
  // Keys in one order too: of two that post the same ones at a time, one waits for the other.
  const all = [...byKey.values()].sort((a, b) => (a.draft.key < b.draft.key ? -1 : 1));
  const entries = all.flatMap(({ draft }) => draft.entries);
  const accounts =
    known ??
    (await accountIds(
      tx,
      entries.map(({ account }) => account),
    ));
  const made = await insert(tx, all, accounts);
  const before = made.size === all.length ? new Map<string, Found>() : await find(tx, [...byKey.keys()]);
  return drafts.map(draft => {
    const id = made.get(draft.key);
    if (id !== undefined) return { id, isNew: true };
    const found = before.get(draft.key);
    if (!found || !byKey.get(draft.key)?.hash.equals(found.hash)) throw otherContent(draft);
    return { id: found.id, isNew: false };
  });
}

const otherContent = ({ kind }: Pick<Draft, 'kind'>) =>
  new Failure(
    'conflict',
    `the key of this ${kind} came with another one before: repeat it as it was, or use a new key`,
  );

/** What was posted under a key, for who can no longer tell what its entries would be. Throws as `post` does. */
export async function postedBefore(
  db: Queryable,
  asked: Pick<Draft, 'key' | 'kind' | 'asked'>,
): Promise<Posted | null> {
  const found = (await find(db, [asked.key])).get(asked.key);
  if (!found) return null;
  if (!found.hash.equals(hashOf(asked))) throw otherContent(asked);
  return { id: found.id, isNew: false };
}

async function insert(
  tx: Transaction,
  all: readonly { draft: Draft; hash: Buffer }[],
  accounts: ReadonlyMap<string, string>,
): Promise<Map<string, number>> {
  const entries = all.flatMap(({ draft }) =>
    draft.entries.map((entry, index) => ({ ...entry, key: draft.key, line: index + 1 })),
  );
  const { rows } = await tx.query<{ id: number; key: string }>({
    name: 'ledger-post',
    text: `WITH made AS (
             INSERT INTO ledger_transactions (idempotency_key, content_hash, kind, lines, reverses, memo, detail, actor)
             SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::smallint[], $5::bigint[], $6::text[],
               $7::jsonb[], $8::text[])
             ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, idempotency_key),
           posted AS (
             INSERT INTO ledger_postings (transaction_id, line, account_id, amount)
             SELECT made.id, e.line, e.account_id, e.amount
             FROM unnest($9::text[], $10::smallint[], $11::bigint[], $12::bigint[]) AS e (key, line, account_id, amount)
             JOIN made ON made.idempotency_key = e.key)
           SELECT id, idempotency_key AS key FROM made`,
    values: [
      all.map(({ draft }) => draft.key),
      all.map(({ hash }) => hash),
      all.map(({ draft }) => draft.kind),
      all.map(({ draft }) => draft.entries.length),
      all.map(({ draft }) => draft.reverses ?? null),
      all.map(({ draft }) => draft.memo),
      all.map(({ draft }) => JSON.stringify(draft.detail)),
      all.map(({ draft }) => draft.actor),
      entries.map(({ key }) => key),
      entries.map(({ line }) => line),
      entries.map(({ account }) => accounts.get(nameOf(account))),
      entries.map(({ amount }) => String(amount)),
    ],
  });
  return new Map(rows.map(({ key, id }) => [key, id]));
}

interface Found {
  id: number;
  hash: Buffer;
}

/** Those of the keys that have been posted. */
async function find(db: Queryable, keys: readonly string[]): Promise<Map<string, Found>> {
  const { rows } = await db.query<{ key: string; id: number; hash: Buffer }>({
    name: 'ledger-find',
    text: `SELECT idempotency_key AS key, id, content_hash AS hash FROM ledger_transactions
           WHERE idempotency_key = ANY ($1)`,
    values: [keys],
  });
  return new Map(rows.map(({ key, id, hash }) => [key, { id, hash }]));
}

/** Name to id, as text; accounts that are not there yet are opened, in one order over all writers. */
export async function accountIds(tx: Transaction, wanted: readonly Account[]): Promise<Map<string, string>> {
  const byName = new Map(wanted.map(account => [nameOf(account), account]));
  const ids = await idsOf(tx, [...byName.keys()]);
  const missing = [...byName].filter(([name]) => !ids.has(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (missing.length === 0) return ids;
  await tx.query({
    name: 'ledger-open-accounts',
    text: `INSERT INTO ledger_accounts (kind, asset, tenant_id, hold)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
           ON CONFLICT DO NOTHING`,
    values: [
      missing.map(([, { kind }]) => kind),
      missing.map(([, { asset }]) => asset),
      missing.map(([, { tenantId }]) => tenantId),
      missing.map(([, { hold }]) => hold),
    ],
  });
  // Others may have opened some of them meanwhile.
  const all = await idsOf(tx, [...byName.keys()]);
  const refused = missing.find(([name]) => !all.has(name))?.[1];
  if (refused) throw new Failure('conflict', `the hold ${refused.hold} is another tenant's or of another asset`);
  return all;
}

async function idsOf(db: Queryable, names: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await db.query<{ name: string; id: string }>({
    name: 'ledger-account-ids',
    text: 'SELECT name, id::text FROM ledger_accounts WHERE name = ANY ($1)',
    values: [names],
  });
  return new Map(rows.map(({ name, id }) => [name, id]));
}
