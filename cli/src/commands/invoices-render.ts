/** Invoices, their lines and what explains them, as a person reads them. Pure. */
import type {
  Invoice,
  InvoiceCheck,
  InvoiceLine,
  InvoiceTotal,
  InvoiceWithSubtotals,
  LineWhy,
  UsageReason,
  Why,
} from '@iocloud/contracts';
import { facts, table } from '../output.js';
import { statementTable } from './ledger-render.js';

const totalsInWords = (totals: readonly InvoiceTotal[]) =>
  totals.map(({ total, asset }) => `${total} ${asset}`).join(', ');

export function invoiceTable(invoices: readonly Invoice[]): string {
  if (invoices.length === 0) return 'no month has been closed yet: `iocloud invoice show` has the running one';
  return table(
    ['number', 'month', 'kind', 'lines', 'total', 'id'],
    invoices.map(each => [
      each.number ?? '',
      each.month,
      each.kind,
      String(each.lines),
      totalsInWords(each.totals),
      each.id ?? '',
    ]),
  );
}

export function invoiceInWords(invoice: InvoiceWithSubtotals, lines: readonly InvoiceLine[]): string {
  const { kind, number, month, tenantName, tenantId, issuer, closedAt, costUsd, totals, subtotals } = invoice;
  const head = facts([
    [kind, number ?? `of ${month}, as it stands now`],
    ['month', month],
    ['of', `${tenantName} (${tenantId})`],
    ['from', issuer.name],
    ['closed', closedAt ?? 'not yet'],
    ['cost', `${costUsd} USD before fees`],
    ...totals.map(({ total, fees, asset }): [string, string] => ['total', `${total} ${asset}, of that fees ${fees}`]),
  ]);
  if (lines.length === 0) return `${head}\n\nnothing has been charged`;
  const subject = kind === 'invoice' ? 'cluster' : 'machine';
  const sums = table(
    [subject, 'GPU-s held', 'billed', 'cost USD', 'fees', 'total', 'asset'],
    subtotals.map(each => [
      each.name || each.subject || 'other',
      each.gpuSecondsHeld,
      each.gpuSecondsBilled,
      each.costUsd,
      each.fees,
      each.total,
      each.asset,
    ]),
  );
  return `${head}\n\n${sums}\n\n${lineTable(kind, lines)}`;
}

const lineTable = (kind: Invoice['kind'], lines: readonly InvoiceLine[]) =>
  table(
    [
      'line',
      'day',
      'kind',
      kind === 'invoice' ? 'cluster' : 'machine',
      'lease',
      'model',
      'billed',
      'USD/h',
      'total',
      'note',
    ],
    lines.map(line => [
      String(line.n),
      line.day,
      line.kind,
      (kind === 'invoice' ? line.clusterName : line.nodeId) ?? '',
      line.leaseId ?? '',
      line.model ?? '',
      line.gpuSecondsBilled,
      line.pricePerHourUsd ?? '',
      line.asset === null ? '' : `${line.total} ${line.asset}`,
      line.note,
    ]),
  );

export function lineWhyInWords({ line, ...why }: LineWhy): string {
  const head = facts([
    ['line', `${line.n}, ${line.kind} of ${line.day}`],
    ['lease', [line.leaseId, line.nodeId, line.clusterName, line.model].filter(Boolean).join(', ')],
    ['accelerators', `${line.gpuSecondsHeld} s held, ${line.gpuSecondsBilled} s billed`],
    ['cost', `${line.costUsd} USD before fees`],
    ['total', line.asset === null ? 'nothing' : `${line.total} ${line.asset}, of that fees ${line.fees}`],
  ]);
  return `${head}\n\n${whyInWords(why)}`;
}

export function whyInWords({ usage, prices, transactions }: Omit<Why, 'next'>): string {
  const parts = [
    ...usage.map(usageInWords),
    ...prices.map(({ leaseId, pricePerHourUsd, basis, versions }) =>
      facts([
        ['price', `${pricePerHourUsd} USD/h of ${leaseId}`],
        ...(Object.keys(basis).length > 0 ? [['made of', JSON.stringify(basis)] as const] : []),
        ...versions.map(({ id, microUsdPerGpuHour }) => ['version', `${id}: ${microUsdPerGpuHour} micro-USD`] as const),
      ]),
    ),
    ...(transactions.length > 0 ? [statementTable(transactions)] : []),
  ];
  return parts.length > 0 ? parts.join('\n\n') : 'it is for no usage';
}

const usageInWords = (usage: UsageReason) =>
  facts([
    ['window', `${usage.from} to ${usage.until}${usage.revision > 0 ? `, correction ${usage.revision}` : ''}`],
    ['accelerators', `${usage.gpuSecondsHeld} s held, ${usage.gpuSecondsBilled} s billed (${usage.leaseId})`],
    ['cost', `${usage.costUsd} USD at ${usage.pricePerHourUsd} USD/h${usage.reason ? `: ${usage.reason}` : ''}`],
    ...(usage.usdPerIo === null ? [] : [['USD per IO', usage.usdPerIo] as const]),
    ...usage.jobs.map(
      job => ['job', `${job.submissionId} (on Ray ${job.raySubmissionId}): ${job.gpuSecondsHeld} GPU-s held`] as const,
    ),
    ['evidence', JSON.stringify(usage.evidence)],
    ['posted', usage.transactionId === null ? 'nothing' : `transaction ${usage.transactionId}`],
  ]);

export function invoiceCheckInWords(check: InvoiceCheck): string {
  const looked = `${check.invoices} invoices and statements of ${check.entries} charges`;
  if (check.clean) return `${looked}: each is what was posted, and no charge of a closed month is missing`;
  const rows = check.differences.map(({ what, subject, message }) => [what, subject, message]);
  return `${table(['what', 'subject', 'difference'], rows)}\n${looked}: ${check.differences.length} differences`;
}
