/** Closed invoices in the database: written once, by the transaction that closes them, and read. */
import type { Asset, ClusterId, InvoiceId, InvoiceKind, Issuer, LeaseId, NodeId, TenantId } from '@iocloud/contracts';
import { type LineKind, type Month, monthAfter, totalsOf } from '../core/invoicing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { costOf, type EntryReference, type InvoiceDocument, type InvoiceHead, type PlacedLine } from './document.js';
import type { PlacedEntry } from './gather.js';

interface HeadRow {
  id: string;
  kind: InvoiceKind;
  number: number;
  tenant_id: TenantId;
  tenant_name: string;
  month: Month;
  at: Date;
  issuer: Issuer;
  lines: number;
  cost: string;
  totals: { asset: Asset; amount: string; fee: string }[];
}

const headColumns = `id, kind, number, tenant_id, tenant_name, to_char(month, 'YYYY-MM') AS month, at, issuer, lines,
  cost_micro_usd::text AS cost, totals`;

const toHead = (row: HeadRow): InvoiceHead & { id: string; number: number; closedAt: Date } => ({
  id: row.id,
  kind: row.kind,
  number: row.number,
  tenantId: row.tenant_id,
  tenantName: row.tenant_name,
  month: row.month,
  closedAt: row.at,
  issuer: row.issuer,
  lines: row.lines,
  costMicroUsd: BigInt(row.cost),
  totals: row.totals.map(({ asset, amount, fee }) => ({ asset, amount: BigInt(amount), fee: BigInt(fee) })),
});

/** The month after the last one that was closed for all; null: none has been. */
export async function firstOpenMonth(db: Queryable): Promise<Month | null> {
  const { rows } = await db.query<{ last: Month | null }>(
    `SELECT to_char(max(month), 'YYYY-MM') AS last FROM invoice_months`,
  );
  const last = rows[0]?.last ?? null;
  return last === null ? null : monthAfter(last);
}

export async function recordMonth(tx: Transaction, month: Month): Promise<void> {
  await tx.query('INSERT INTO invoice_months (month) VALUES ($1) ON CONFLICT DO NOTHING', [`${month}-01`]);
}

/** `tenantId` null: of anybody. */
export async function headById(db: Queryable, tenantId: TenantId | null, id: string): Promise<InvoiceHead | null> {
  const { rows } = await db.query<HeadRow>(
    `SELECT ${headColumns} FROM invoices WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)`,
    [id, tenantId],
  );
  return rows[0] ? toHead(rows[0]) : null;
}

export async function headOfMonth(
  db: Queryable,
  tenantId: TenantId,
  kind: InvoiceKind,
  month: Month,
): Promise<InvoiceHead | null> {
  const { rows } = await db.query<HeadRow>(
    `SELECT ${headColumns} FROM invoices WHERE tenant_id = $1 AND kind = $2 AND month = $3`,
    [tenantId, kind, `${month}-01`],
  );
  return rows[0] ? toHead(rows[0]) : null;
}

/** Newest first. */
export async function listHeads(
  db: Queryable,
  tenantId: TenantId | null,
  { kind, after, limit }: { kind?: InvoiceKind | undefined; after?: string | undefined; limit: number },
): Promise<InvoiceHead[]> {
  const { rows } = await db.query<HeadRow>(
    `SELECT ${headColumns} FROM invoices i WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR kind = $2)
       AND ($3::text IS NULL OR (i.at, i.id) < (SELECT b.at, b.id FROM invoices b WHERE b.id = $3))
     ORDER BY i.at DESC, i.id DESC LIMIT $4`,
    [tenantId, kind ?? null, after ?? null, limit],
  );
  return rows.map(toHead);
}

interface LineRow {
  n: number;
  kind: LineKind;
  day: string;
  cluster_id: ClusterId | null;
  cluster_name: string | null;
  lease_id: LeaseId | null;
  node_id: NodeId | null;
  node_name: string | null;
  model: string | null;
  price: string | null;
  asset: Asset | null;
  entries: number;
  held: string;
  billed: string;
  cost: string;
  amount: string;
  fee: string;
  note: string;
}

export async function closedDocument(db: Queryable, head: InvoiceHead): Promise<InvoiceDocument> {
  const { rows } = await db.query<LineRow>(
    `SELECT n, kind, day::text, cluster_id, cluster_name, lease_id, node_id, node_name, model, asset, entries, note,
       micro_usd_per_hour::text AS price, held_ms::text AS held, billed_ms::text AS billed,
       cost_micro_usd::text AS cost, amount::text, fee::text
     FROM invoice_lines WHERE invoice_id = $1 ORDER BY n`,
    [head.id],
  );
  return {
    head,
    lines: rows.map(row => ({
      n: row.n,
      kind: row.kind,
      day: row.day,
      clusterId: row.cluster_id,
      clusterName: row.cluster_name,
      leaseId: row.lease_id,
      nodeId: row.node_id,
      nodeName: row.node_name,
      model: row.model,
      microUsdPerHour: row.price === null ? null : BigInt(row.price),
      asset: row.asset,
      entries: row.entries,
      heldMs: BigInt(row.held),
      billedMs: BigInt(row.billed),
      costMicroUsd: BigInt(row.cost),
      amount: BigInt(row.amount),
      fee: BigInt(row.fee),
      note: row.note,
    })),
    entries: async line => {
      const { rows: entries } = await db.query<{ transaction_id: number | null; usage_line_id: number | null }>(
        `SELECT transaction_id, usage_line_id FROM invoice_entries WHERE invoice_id = $1 AND line = $2
         ORDER BY usage_line_id, transaction_id`,
        [head.id, line],
      );
      return entries.map(
        (row): EntryReference => ({ transactionId: row.transaction_id, usageLineId: row.usage_line_id }),
      );
    },
  };
}

export async function insertEntries(
  tx: Transaction,
  invoice: { id: InvoiceId; kind: InvoiceKind; tenantId: TenantId },
  entries: readonly PlacedEntry[],
): Promise<void> {
  await tx.query(
    `INSERT INTO invoice_entries (invoice_id, kind, tenant_id, line, transaction_id, usage_line_id, asset, amount, fee)
     SELECT $1, $2, $3, e.* FROM unnest($4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[]) AS e`,
    [
      invoice.id,
      invoice.kind,
      invoice.tenantId,
      entries.map(({ line }) => line),
      entries.map(({ transactionId }) => transactionId),
      entries.map(({ usageLineId }) => usageLineId),
      entries.map(({ asset }) => asset),
      entries.map(({ amount }) => String(amount)),
      entries.map(({ fee }) => String(fee)),
    ],
  );
}

const linesAtOnce = 2_000;

/** The head, numbered after the last of its tenant and kind, and the lines. */
export async function insertInvoice(
  tx: Transaction,
  invoice: Pick<InvoiceHead, 'kind' | 'tenantId' | 'tenantName' | 'month' | 'issuer'> & { id: InvoiceId },
  lines: readonly PlacedLine[],
): Promise<number> {
  const { id, kind, tenantId, tenantName, month, issuer } = invoice;
  const totals = totalsOf(lines).map(({ asset, amount, fee }) => ({ asset, amount: `${amount}`, fee: `${fee}` }));
  const { rows } = await tx.query<{ number: number }>(
    `INSERT INTO invoices (id, kind, tenant_id, number, month, tenant_name, issuer, lines, cost_micro_usd, totals)
     SELECT $1, $2, $3, coalesce(max(number), 0) + 1, $4, $5, $6, $7, $8, $9 FROM invoices WHERE tenant_id = $3 AND kind = $2
     RETURNING number`,
    [
      id,
      kind,
      tenantId,
      `${month}-01`,
      tenantName,
      JSON.stringify(issuer),
      lines.length,
      String(costOf(lines)),
      JSON.stringify(totals),
    ],
  );
  for (let from = 0; from < lines.length; from += linesAtOnce) {
    await insertLines(tx, id, lines.slice(from, from + linesAtOnce));
  }
  if (!rows[0]) throw new Error('an invoice that was inserted has no number');
  return rows[0].number;
}

async function insertLines(tx: Transaction, id: InvoiceId, lines: readonly PlacedLine[]): Promise<void> {
  const rows = lines.map(line => ({
    n: line.n,
    kind: line.kind,
    day: line.day,
    cluster_id: line.clusterId,
    cluster_name: line.clusterName,
    lease_id: line.leaseId,
    node_id: line.nodeId,
    node_name: line.nodeName,
    model: line.model,
    micro_usd_per_hour: line.microUsdPerHour === null ? null : String(line.microUsdPerHour),
    asset: line.asset,
    entries: line.entries,
    held_ms: String(line.heldMs),
    billed_ms: String(line.billedMs),
    cost_micro_usd: String(line.costMicroUsd),
    amount: String(line.amount),
    fee: String(line.fee),
    note: line.note,
  }));
  await tx.query(
    `INSERT INTO invoice_lines (invoice_id, n, kind, day, cluster_id, cluster_name, lease_id, node_id, node_name, model,
       micro_usd_per_hour, asset, entries, held_ms, billed_ms, cost_micro_usd, amount, fee, note)
     SELECT $1, r.* FROM jsonb_to_recordset($2) AS r (n int, kind text, day date, cluster_id text, cluster_name text,
       lease_id text, node_id text, node_name text, model text, micro_usd_per_hour bigint, asset text, entries int,
       held_ms bigint, billed_ms bigint, cost_micro_usd bigint, amount bigint, fee bigint, note text)`,
    [id, JSON.stringify(rows)],
  );
}
