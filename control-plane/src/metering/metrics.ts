/** How far the meter is, and what it writes. */
import { afterCommit, counter, gauge, type StateSource, type Transaction } from '../platform/index.js';

const lag = gauge('iocloud_metering_lag_seconds', 'How late the meter is with the latest; 0: with none');
const oldestOpen = gauge('iocloud_metering_oldest_open_seconds', 'Now less the end of the last closed window');
const due = gauge('iocloud_metering_leases_due', 'Leases that the meter has to look at now');
const written = counter('iocloud_usage_lines_total', 'Lines of usage written', ['kind']);

export function countLines(tx: Transaction, lines: readonly { revision: number }[]): void {
  afterCommit(tx, () => {
    const first = lines.filter(({ revision }) => revision === 0).length;
    written.inc({ kind: 'first' }, first);
    written.inc({ kind: 'correction' }, lines.length - first);
  });
}

export const meteringState: StateSource = {
  name: 'metering',
  read: async db => {
    const { rows } = await db.query<{ due: number; lag: number | null; open: number | null }>(
      `SELECT (SELECT count(*)::int FROM metering_leases WHERE look_at <= now()) AS due,
         (SELECT extract(epoch FROM now() - min(look_at))::float8 FROM metering_leases WHERE look_at <= now()) AS lag,
         (SELECT extract(epoch FROM now() - min(coalesce(m.closed_until, l.created_at)))::float8
          FROM leases l JOIN metering_leases m ON m.lease_id = l.id WHERE l.released_at IS NULL) AS open`,
    );
    due.set(rows[0]?.due ?? 0);
    lag.set(Math.max(0, rows[0]?.lag ?? 0));
    oldestOpen.set(Math.max(0, rows[0]?.open ?? 0));
  },
};
