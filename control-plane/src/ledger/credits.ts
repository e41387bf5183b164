/** What an operator does to the ledger by hand: credits, and transactions that take others back. */
import { type Asset, type TenantId, type TransactionKind, unitsInWords } from '@iocloud/contracts';
import { creditEntries, reversalEntries } from '../core/billing/index.js';
import { Failure, type Transaction } from '../platform/index.js';
import { type Posted, post, postedBefore } from './post.js';
import { covered } from './refused.js';
import { readForReversal } from './statement.js';

export interface Credit {
  key: string;
  tenantId: TenantId;
  asset: Asset;
  amount: bigint;
  reason: string;
  actor: string;
}

export async function credit(tx: Transaction, wanted: Credit): Promise<Posted> {
  const { key, tenantId, asset, amount, reason, actor } = wanted;
  const entries = creditEntries(tenantId, asset, amount);
  const asked = [tenantId, asset, String(amount), reason];
  const draft = { key: `credit:${key}`, kind: 'credit' as const, asked, memo: reason, detail: {}, actor, entries };
  const [posted] = await covered(post(tx, [draft]), `no room for ${unitsInWords(amount, asset)} ${asset}`);
  return posted as Posted;
}

/** What happened on the chain is not undone here. */
const ofTheChain = ['deposit', 'payout', 'transfer'];
/** Beside their postings there is a row that says who has staked what: taking back one alone would part them. */
const ofTokenRules: ReadonlySet<TransactionKind> = new Set<TransactionKind>(['emission', 'stake', 'slash', 'burn']);

/** Once for each transaction; repeated with the same reason it is the same one. */
export async function reverse(tx: Transaction, id: number, reason: string, actor: string): Promise<Posted> {
  const { kind, entries, closedHolds } = await readForReversal(tx, id);
  if (['reversal', 'release', ...ofTheChain].includes(kind)) {
    throw new Failure('conflict', `transaction ${id} is a ${kind}, which is not taken back: post what is right anew`);
  }
  const asked = { key: `reversal:${id}`, kind: 'reversal' as const, asked: [reason] };
  if (ofTokenRules.has(kind)) {
    throw new Failure('conflict', `transaction ${id} is a ${kind}, which only the token rules undo (docs/token.md)`);
  }
  // Its hold may have been closed since: then the entries would come out differently.
  const before = await postedBefore(tx, asked);
  if (before) return before;
  const turned = reversalEntries(entries, ({ hold }) => hold !== null && closedHolds.has(hold));
  if (turned.length === 0) {
    throw new Failure('conflict', `transaction ${id} set money aside that has gone back: nothing is left to reverse`);
  }
  const draft = {
    ...asked,
    memo: reason,
    detail: {},
    actor,
    reverses: id,
    entries: turned,
  };
  const [posted] = await covered(post(tx, [draft]), `transaction ${id} brought money that has been spent since`);
  return posted as Posted;
}
