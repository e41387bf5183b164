/** How settlement stands, for operators. */
import { type SettlementStatus, unitsInWords } from '@iocloud/contracts';
import type { PayoutState } from '../core/settlement/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import { isPaused } from './pause.js';
import type { SettledAsset } from './terms.js';
import type { World } from './world.js';

export const notConfigured: SettlementStatus = {
  configured: false,
  ...{ treasury: null, feePayer: null, feePayerLamports: null, lastTurnAt: null, slot: null, paused: false },
  ...{
    balances: [],
    payouts: [],
    differences: [],
    problems: ['SOLANA_RPC_URL is not set: nothing is settled on a chain'],
  },
};

interface TurnRow {
  at: Date;
  slot: string;
  lamports: string;
  balances: { asset: SettledAsset; onChain: string; inBooks: string; difference: string }[];
  problems: string[];
}

export async function readStatus(world: World): Promise<SettlementStatus> {
  const { database } = world;
  const { rows: turns } = await database.query<TurnRow>(
    'SELECT at, slot::text, fee_payer_lamports::text AS lamports, balances, problems FROM settlement_turns',
  );
  const { rows: payouts } = await database.query<{
    state: PayoutState;
    asset: SettledAsset;
    count: number;
    amount: string;
  }>(
    `SELECT state, asset, count(*)::int AS count, sum(amount)::text AS amount FROM payouts
     WHERE state NOT IN ('finalized', 'returned', 'cancelled', 'refused') GROUP BY state, asset ORDER BY state, asset`,
  );
  const [turn] = turns;
  return {
    configured: true,
    treasury: world.treasury,
    feePayer: world.feePayer,
    feePayerLamports: turn?.lamports ?? null,
    lastTurnAt: turn?.at.toISOString() ?? null,
    slot: turn?.slot ?? null,
    paused: await isPaused(database),
    balances: (turn?.balances ?? []).map(({ asset, onChain, inBooks, difference }) => ({
      asset,
      onChain: unitsInWords(BigInt(onChain), asset),
      inLedger: unitsInWords(BigInt(inBooks), asset),
      difference: unitsInWords(BigInt(difference), asset),
    })),
    payouts: payouts.map(row => ({ ...row, amount: unitsInWords(BigInt(row.amount), row.asset) })),
    differences: await openDifferences(database),
    problems: turn?.problems ?? [],
  };
}

async function openDifferences(db: Queryable): Promise<SettlementStatus['differences']> {
  const { rows } = await db.query<{
    id: number;
    asset: SettledAsset;
    message: string;
    opened_at: Date;
    by: string | null;
  }>(
    `SELECT id, asset, message, opened_at, acknowledged_by AS by FROM settlement_differences
     WHERE cleared_at IS NULL ORDER BY id`,
  );
  return rows.map(({ id, asset, message, opened_at, by }) => ({
    ...{ id, asset, message, openedAt: opened_at.toISOString(), acknowledgedBy: by },
  }));
}

export async function acknowledge(tx: Transaction, id: number, userId: string): Promise<void> {
  const { rowCount } = await tx.query(
    `UPDATE settlement_differences SET acknowledged_at = coalesce(acknowledged_at, now()),
       acknowledged_by = coalesce(acknowledged_by, $2) WHERE id = $1 AND cleared_at IS NULL`,
    [id, userId],
  );
  if (rowCount === 0) throw new Failure('not-found', `no open difference ${id}`);
}
