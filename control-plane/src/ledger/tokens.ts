/** Postings of the token rules, which token/ asks for: emission, stakes, slashes, burning. */
import { type Entry, nameOf } from '../core/billing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { type Posted, post } from './post.js';
import { covered } from './refused.js';

export interface TokenPosting {
  /** Unique among all of the kind. */
  key: string;
  kind: 'emission' | 'stake' | 'slash' | 'burn';
  memo: string;
  detail: Record<string, string>;
  actor: string;
  entries: Entry[];
}

/** At most once for a database transaction, as `post`. `shortage` says who has too little. Throws Failure 'conflict'. */
export function postTokens(tx: Transaction, postings: readonly TokenPosting[], shortage: string): Promise<Posted[]> {
  const drafts = postings.map(posting => ({
    ...posting,
    key: `${posting.kind}:${posting.key}`,
    asked: posting.entries.map(({ account, amount }) => `${nameOf(account)} ${amount}`),
  }));
  return covered(post(tx, drafts), shortage);
}

export interface TokenSums {
  /** Units of IO that were emitted, and that were burned. */
  minted: bigint;
  burned: bigint;
  /** Units of IOSD in circulation. */
  iosd: bigint;
}

export async function tokenSums(db: Queryable): Promise<TokenSums> {
  const { rows } = await db.query<{ name: string; balance: string }>(
    `SELECT a.name, b.balance::text FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id
     WHERE a.name = ANY ($1)`,
    [['emission:IO', 'burned:IO', 'emission:IOSD']],
  );
  const of = (account: string) => BigInt(rows.find(({ name }) => name === account)?.balance ?? 0);
  return { minted: -of('emission:IO'), burned: of('burned:IO'), iosd: -of('emission:IOSD') };
}
