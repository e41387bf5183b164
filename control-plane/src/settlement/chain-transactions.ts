/** What was signed: on record before it is sent, and the same bytes every time that it is. */
import type { Transaction as SolanaTransaction } from '@solana/kit';
import { type Cost, mostLamports, priorityPrice } from '../core/settlement/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { type NonceInForce, nonceAccountOf, signedBy } from './chain/build.js';
import type { KeyId } from './signer.js';
import type { SettledAsset } from './terms.js';
import type { World } from './world.js';

export interface ChainTransactionRow {
  id: number;
  kind: 'payout' | 'sweep' | 'advance';
  asset: SettledAsset | null;
  signature: string;
  bytes: Buffer;
  nonce_account: string;
  nonce: string;
  state: 'signed' | 'sent' | 'finalized' | 'failed' | 'superseded';
  signed_at: Date;
  age_seconds: number;
  advanced: boolean;
}

/** Oldest first, an advance after what it replaces. */
export async function unended(db: Queryable): Promise<ChainTransactionRow[]> {
  const { rows } = await db.query<ChainTransactionRow>(
    `SELECT c.id, c.kind, c.asset, c.signature, c.bytes, c.nonce_account, c.nonce, c.state, c.signed_at,
       extract(epoch FROM now() - c.signed_at)::float AS age_seconds,
       EXISTS (SELECT FROM chain_transactions a WHERE a.replaces = c.id) AS advanced
     FROM chain_transactions c WHERE c.state IN ('signed', 'sent') ORDER BY c.id`,
  );
  return rows;
}

export interface ToSign {
  kind: ChainTransactionRow['kind'];
  asset: SettledAsset | null;
  nonce: NonceInForce;
  keys: readonly KeyId[];
  transaction: SolanaTransaction;
  mostLamports: bigint;
  replaces: number | null;
}

/** Signs it and puts it on record. Null: its nonce has been signed for before, so nothing was. */
export async function signAndRecord(world: World, tx: Transaction, wanted: ToSign): Promise<number | null> {
  const { kind, asset, nonce, keys, transaction, replaces } = wanted;
  if (kind !== 'advance') {
    const { rows } = await tx.query('SELECT 1 FROM chain_transactions WHERE nonce = $1 AND kind <> $2', [
      nonce.nonce,
      'advance',
    ]);
    if (rows.length > 0) return null;
  }
  const { signature, bytes } = await signedBy(world.signer, keys, transaction);
  const { rows } = await tx.query<{ id: number }>(
    `INSERT INTO chain_transactions (kind, asset, signature, bytes, nonce_account, nonce, most_lamports, state, replaces)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'signed', $8) RETURNING id`,
    [
      ...[kind, asset, signature, Buffer.from(bytes), nonce.account, nonce.nonce],
      ...[String(wanted.mostLamports), replaces],
    ],
  );
  return rows[0]?.id ?? null;
}

/** Nonce accounts with nothing under way, and the nonces in force there. */
export async function freeNonces(world: World): Promise<NonceInForce[]> {
  const { rows } = await world.database.query<{ nonce_account: string }>(
    `SELECT DISTINCT nonce_account FROM chain_transactions WHERE state IN ('signed', 'sent')`,
  );
  const busy = new Set(rows.map(row => row.nonce_account));
  const all = await nonceAccounts(world);
  const free = all.filter(account => !busy.has(account));
  const inForce = await world.chain.nonces(free);
  return free.flatMap((account, index) => {
    const nonce = inForce[index];
    return nonce ? [{ account, nonce }] : [];
  });
}

export const nonceAccounts = ({ feePayer, terms }: Pick<World, 'feePayer' | 'terms'>): Promise<string[]> =>
  Promise.all(Array.from({ length: terms.nonceAccounts }, (_, number) => nonceAccountOf(feePayer, number)));

/** What a transaction may cost, at what others pay at present. */
export async function costOf(
  world: World,
  writable: readonly string[],
  parts: Pick<Cost, 'signatures' | 'computeUnits' | 'newAccounts'>,
): Promise<{ price: bigint; mostLamports: bigint }> {
  const recent = await world.chain.recentPriorityPrices(writable);
  const price = priorityPrice(recent, parts.computeUnits, world.terms.fees.mostPriorityLamports);
  const rentLamports = parts.newAccounts > 0 ? await world.chain.rentLamports(165n) : 0n;
  return { price, mostLamports: mostLamports({ ...parts, price, rentLamports }) };
}

/** Null: it may be spent; else why not. */
export async function feeFault(world: World, lamports: bigint): Promise<string | null> {
  const { rows } = await world.database.query<{ spent: string }>(
    `SELECT coalesce(sum(most_lamports), 0)::text AS spent FROM chain_transactions WHERE signed_at > now() - interval '1 day'`,
  );
  const spent = BigInt(rows[0]?.spent ?? 0);
  if (spent + lamports > world.terms.fees.lamportsPerDay) {
    return `fees of the last 24 hours come to ${spent} lamports: the budget is used up, and nothing is signed until it has room`;
  }
  const [payer] = await world.chain.accounts([world.feePayer]);
  const has = payer?.lamports ?? 0n;
  return has >= lamports
    ? null
    : `the fee payer ${world.feePayer} has ${has} lamports and needs ${lamports}: send SOL to it`;
}

/** Sends all that is signed and under way once more: harmless, as it is the same bytes. Those that a node took are `sent`. */
export async function sendUnder(world: World, row: Pick<ChainTransactionRow, 'id' | 'bytes' | 'state'>): Promise<void> {
  await world.chain.send(row.bytes);
  if (row.state === 'sent') return;
  await world.database.transaction(async tx => {
    await tx.query(`UPDATE chain_transactions SET state = 'sent', sent_at = now() WHERE id = $1 AND state = 'signed'`, [
      row.id,
    ]);
    await tx.query(
      `UPDATE payouts SET state = 'sent', changed_at = now() WHERE chain_transaction_id = $1 AND state = 'signed'`,
      [row.id],
    );
  });
}
