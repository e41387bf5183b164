/** How many documents there are, and up to when months are closed. */
import { gauge, type StateSource, setAll } from '../platform/index.js';

const invoices = gauge('iocloud_invoices', 'Invoices and statements on record', ['kind']);
const lastClosed = gauge(
  'iocloud_invoice_last_closed_month_timestamp_seconds',
  'First day of the last month that was closed; 0: none yet',
);

export const invoiceState: StateSource = {
  name: 'invoices',
  read: async db => {
    const { rows } = await db.query<{ kind: string; invoices: number }>(
      'SELECT kind, count(*)::int AS invoices FROM invoices GROUP BY 1',
    );
    setAll(
      invoices,
      ['invoice', 'statement'].map(kind => ({
        labels: { kind },
        value: rows.find(row => row.kind === kind)?.invoices ?? 0,
      })),
    );
    const { rows: months } = await db.query<{ last: number | null }>(
      `SELECT extract(epoch FROM max(month)::timestamp AT TIME ZONE 'UTC')::float8 AS last FROM invoice_months`,
    );
    lastClosed.set(months[0]?.last ?? 0);
  },
};
