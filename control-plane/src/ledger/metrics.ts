/** Sums of the books. Amounts beyond 2^53 lose their last digits here, an imbalance of 0 does not: it is summed before. */
import { gauge, type StateSource, setAll } from '../platform/index.js';

const balances = gauge('iocloud_ledger_balance_units', 'Sum of all accounts of a kind', ['kind', 'asset']);
const imbalance = gauge('iocloud_ledger_imbalance_units', 'Sum of all accounts; anything but 0 is an alarm', ['asset']);
const assets = ['IO', 'USDC', 'USD', 'IOSD'] as const;

export const ledgerState: StateSource = {
  name: 'ledger',
  read: async db => {
    const { rows } = await db.query<{ kind: string; asset: string; balance: string }>(
      `SELECT a.kind, a.asset, sum(b.balance)::text AS balance
       FROM ledger_accounts a JOIN ledger_balances b ON b.account_id = a.id GROUP BY 1, 2`,
    );
    setAll(
      balances,
      rows.map(({ kind, asset, balance }) => ({ labels: { kind, asset }, value: Number(balance) })),
    );
    const sumOf = (asset: string) =>
      rows.filter(row => row.asset === asset).reduce((sum, { balance }) => sum + BigInt(balance), 0n);
    setAll(
      imbalance,
      assets.map(asset => ({ labels: { asset }, value: Number(sumOf(asset)) })),
    );
  },
};
