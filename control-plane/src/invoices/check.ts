/** All closed invoices held against the postings of the ledger, in one snapshot. */
import type { Asset, InvoiceCheck, InvoiceKind, TenantId } from '@iocloud/contracts';
import { beginOf } from '../core/invoicing/index.js';
import { chargeSums, lastTransactionId } from '../ledger/index.js';
import type { Database, Transaction } from '../platform/index.js';
import { sideOf } from './gather.js';
import { firstOpenMonth } from './store.js';

type Difference = InvoiceCheck['differences'][number];
const mostListed = 100;
const atOnce = 50_000;

export async function checkInvoices(database: Database): Promise<InvoiceCheck> {
  return database.transaction(async tx => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await tx.query<{ invoices: number; entries: number }>(
      'SELECT (SELECT count(*) FROM invoices) AS invoices, (SELECT count(*) FROM invoice_entries) AS entries',
    );
    const differences: Difference[] = [...(await gaps(tx)), ...(await unevenInvoices(tx))];
    const firstOpen = await firstOpenMonth(tx);
    const closedUntil = firstOpen === null ? null : new Date(beginOf(firstOpen));
    const last = await lastTransactionId(tx);
    for (const kind of ['invoice', 'statement'] as const) {
      for (let after = 0; after < last && differences.length < mostListed; after += atOnce) {
        differences.push(...(await uncovered(tx, kind, after, after + atOnce, closedUntil)));
      }
    }
    const counts = rows[0] ?? { invoices: 0, entries: 0 };
    return { clean: differences.length === 0, ...counts, differences: differences.slice(0, mostListed) };
  });
}

/** The database refuses both; a restored or repaired one may have them. */
async function gaps(tx: Transaction): Promise<Difference[]> {
  const { rows } = await tx.query<{ tenant_id: string; message: string }>(
    `SELECT tenant_id, format('has %s %ss up to number %s', count(*), kind, max(number)) AS message
     FROM invoices GROUP BY tenant_id, kind HAVING max(number) <> count(*) LIMIT ${mostListed}`,
  );
  return rows.map(({ tenant_id, message }) => ({ what: 'gap', subject: tenant_id, message }));
}

async function unevenInvoices(tx: Transaction): Promise<Difference[]> {
  const { rows } = await tx.query<{ id: string; message: string }>(
    `SELECT i.id, format('total of %s is %s, its entries sum to %s', coalesce(t.asset, e.asset), coalesce(t.amount, 0),
       coalesce(e.amount, 0)) AS message
     FROM (SELECT id, asset, amount FROM invoices, jsonb_to_recordset(totals) AS t (asset text, amount numeric)) t
     FULL JOIN (SELECT invoice_id AS id, asset, sum(amount) AS amount FROM invoice_entries WHERE asset IS NOT NULL
                GROUP BY invoice_id, asset) e USING (id, asset)
     JOIN invoices i USING (id) WHERE t.amount IS DISTINCT FROM e.amount LIMIT ${mostListed}`,
  );
  return rows.map(({ id, message }) => ({ what: 'amount', subject: id, message }));
}

/** Charges of which the postings say another amount than the entries, and those of closed months that are on no invoice. */
async function uncovered(
  tx: Transaction,
  kind: InvoiceKind,
  after: number,
  until: number,
  closedUntil: Date | null,
): Promise<Difference[]> {
  const sums = await chargeSums(tx, sideOf(kind), after, until);
  const { rows } = await tx.query<{ id: number; tenant_id: TenantId; asset: Asset; amount: string }>(
    `SELECT transaction_id AS id, tenant_id, asset, sum(amount)::text AS amount FROM invoice_entries
     WHERE kind = $1 AND transaction_id > $2 AND transaction_id <= $3 GROUP BY transaction_id, tenant_id, asset`,
    [kind, after, until],
  );
  const entered = new Map(rows.map(row => [`${row.id} ${row.tenant_id} ${row.asset}`, BigInt(row.amount)]));
  const differences: Difference[] = [];
  for (const { transactionId, tenantId, asset, amount, at } of sums) {
    const key = `${transactionId} ${tenantId} ${asset}`;
    const found = entered.get(key);
    entered.delete(key);
    if (found === undefined && closedUntil !== null && at < closedUntil) {
      const message = `is on no ${kind} of ${tenantId}, and its month has been closed`;
      differences.push({ what: 'missing', subject: String(transactionId), message });
    }
    if (found !== undefined && found !== amount) {
      const message = `${amount} units of ${asset} were posted for ${tenantId}, ${found} are on its ${kind}`;
      differences.push({ what: 'amount', subject: String(transactionId), message });
    }
  }
  for (const key of entered.keys()) {
    const [id = '', tenantId = ''] = key.split(' ');
    differences.push({
      what: 'amount',
      subject: id,
      message: `is on a ${kind} of ${tenantId}, and not among its postings`,
    });
  }
  return differences;
}
