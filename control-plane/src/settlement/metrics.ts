/** Pay-outs, differences and what the last turn found; from the database, as another replica may have had the turn. */
import { gauge, type StateSource, setAll } from '../platform/index.js';

const payouts = gauge('iocloud_payouts', 'Pay-outs that have not come to their end', ['state']);
const oldest = gauge('iocloud_payouts_oldest_seconds', 'Of the one that has been in its state the longest', ['state']);
const difference = gauge(
  'iocloud_settlement_difference_units',
  'What the chain holds less what the ledger says, where nothing explains it; anything but 0 is an alarm',
  ['asset'],
);
const openDifferences = gauge('iocloud_settlement_open_differences', 'Differences that are not cleared');
const problems = gauge('iocloud_settlement_problems', 'Problems of the last turn');
const feePayer = gauge('iocloud_settlement_fee_payer_lamports', 'SOL of the fee payer, in lamports, at finality');
const lastTurn = gauge('iocloud_settlement_last_turn_timestamp_seconds', 'When the last turn ended; 0: none yet');

const openStates = ['requested', 'confirmed', 'reserved', 'signed', 'sent', 'failed'] as const;
const assets = ['IO', 'USDC'] as const;

interface Turn {
  at: number;
  lamports: string;
  /** `unexplained` is absent from what a release before this one wrote. */
  balances: { asset: string; unexplained?: string }[];
  problems: number;
}

export const settlementState: StateSource = {
  name: 'settlement',
  read: async db => {
    const { rows } = await db.query<{ state: string; payouts: number; age: number }>(
      `SELECT state, count(*)::int AS payouts, greatest(0, extract(epoch FROM now() - min(changed_at)))::float8 AS age
       FROM payouts WHERE state NOT IN ('finalized', 'returned', 'cancelled', 'refused') GROUP BY 1`,
    );
    const of = (state: string) => rows.find(row => row.state === state);
    setAll(
      payouts,
      openStates.map(state => ({ labels: { state }, value: of(state)?.payouts ?? 0 })),
    );
    setAll(
      oldest,
      openStates.map(state => ({ labels: { state }, value: of(state)?.age ?? 0 })),
    );
    const { rows: open } = await db.query<{ open: number }>(
      'SELECT count(*)::int AS open FROM settlement_differences WHERE cleared_at IS NULL',
    );
    openDifferences.set(open[0]?.open ?? 0);
    const { rows: turns } = await db.query<Turn>(
      `SELECT extract(epoch FROM at)::float8 AS at, fee_payer_lamports::text AS lamports, balances,
         cardinality(problems) AS problems FROM settlement_turns`,
    );
    const [turn] = turns;
    lastTurn.set(turn?.at ?? 0);
    problems.set(turn?.problems ?? 0);
    feePayer.set(Number(turn?.lamports ?? 0));
    setAll(
      difference,
      assets.map(asset => ({
        labels: { asset },
        value: Number(turn?.balances.find(balance => balance.asset === asset)?.unexplained ?? 0),
      })),
    );
  },
};
