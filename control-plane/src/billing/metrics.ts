/** Orders and what waits to be charged. */
import { gauge, type StateSource, setAll } from '../platform/index.js';

const uncharged = gauge('iocloud_usage_lines_uncharged', 'Lines of usage that are not charged yet');
const open = gauge('iocloud_orders_open', 'Orders that hold money', ['asset']);
const short = gauge('iocloud_orders_short', 'Of these, those that lack money');
const assets = ['IO', 'USDC', 'USD', 'IOSD'] as const;

export const billingState: StateSource = {
  name: 'billing',
  read: async db => {
    const { rows } = await db.query<{ lines: number }>('SELECT count(*)::int AS lines FROM charges_due');
    uncharged.set(rows[0]?.lines ?? 0);
    const { rows: orders } = await db.query<{ asset: string; orders: number; short: number }>(
      `SELECT asset, count(*)::int AS orders, count(*) FILTER (WHERE shortage <> '')::int AS short
       FROM orders WHERE closed_at IS NULL GROUP BY 1`,
    );
    setAll(
      open,
      assets.map(asset => ({ labels: { asset }, value: orders.find(row => row.asset === asset)?.orders ?? 0 })),
    );
    short.set(orders.reduce((sum, row) => sum + row.short, 0));
  },
};
