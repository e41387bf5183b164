/** An invoice or statement as it is read: closed, from its own tables; open, gathered anew from the ledger. */
import {
  type Asset,
  type ClusterId,
  type Invoice,
  type InvoiceKind,
  type InvoiceLine,
  type InvoiceSubtotal,
  type InvoiceTotal,
  type InvoiceWithSubtotals,
  type Issuer,
  type NodeId,
  type TenantId,
  unitsInWords,
} from '@iocloud/contracts';
import { beginOf, endOf, type Line, type Month, totalsOf } from '../core/invoicing/index.js';

/** A line with what its lease was. On a statement without cluster: who the renter was is not the supplier's business. */
export type PlacedLine = Line & {
  clusterId: ClusterId | null;
  clusterName: string | null;
  nodeId: NodeId | null;
  nodeName: string | null;
  model: string | null;
};

/** Which charge and usage a line is made of. */
export interface EntryReference {
  transactionId: number | null;
  usageLineId: number | null;
}

export interface InvoiceHead {
  id: string | null;
  kind: InvoiceKind;
  number: number | null;
  tenantId: TenantId;
  tenantName: string;
  month: Month;
  closedAt: Date | null;
  issuer: Issuer;
  lines: number;
  costMicroUsd: bigint;
  totals: readonly { asset: Asset; amount: bigint; fee: bigint }[];
}

export interface InvoiceDocument {
  head: InvoiceHead;
  lines: readonly PlacedLine[];
  entries(line: number): Promise<EntryReference[]>;
}

export const costOf = (lines: readonly Pick<Line, 'costMicroUsd'>[]): bigint =>
  lines.reduce((sum, { costMicroUsd }) => sum + costMicroUsd, 0n);

/** `7K2MPQ4T-0001`; a statement's has an S. */
export const numberInWords = (tenantId: TenantId, kind: InvoiceKind, number: number): string =>
  `${tenantId.slice(-8).toUpperCase()}-${kind === 'statement' ? 'S' : ''}${String(number).padStart(4, '0')}`;

const totalInWords = ({ asset, amount, fee }: { asset: Asset; amount: bigint; fee: bigint }): InvoiceTotal => ({
  asset,
  net: unitsInWords(amount - fee, asset),
  fees: unitsInWords(fee, asset),
  total: unitsInWords(amount, asset),
});

export const headInWords = (head: InvoiceHead): Invoice => ({
  id: head.id,
  reference: head.id ?? `${head.kind}-${head.month}`,
  kind: head.kind,
  number: head.number === null ? null : numberInWords(head.tenantId, head.kind, head.number),
  tenantId: head.tenantId,
  tenantName: head.tenantName,
  month: head.month,
  from: new Date(beginOf(head.month)).toISOString(),
  until: new Date(endOf(head.month)).toISOString(),
  closedAt: head.closedAt?.toISOString() ?? null,
  issuer: head.issuer,
  lines: head.lines,
  costUsd: unitsInWords(head.costMicroUsd, 'USD'),
  totals: head.totals.map(totalInWords),
});

/** `1.234`, of milliseconds. */
export function secondsInWords(ms: bigint): string {
  const digits = String(ms < 0n ? -ms : ms).padStart(4, '0');
  return `${ms < 0n ? '-' : ''}${digits.slice(0, -3)}.${digits.slice(-3)}`;
}

/** An amount of no asset is shown as one of USD: it is zero. */
export function lineInWords(line: PlacedLine): InvoiceLine {
  const asset = line.asset ?? 'USD';
  return {
    n: line.n,
    kind: line.kind,
    day: line.day,
    clusterId: line.clusterId,
    clusterName: line.clusterName,
    leaseId: line.leaseId,
    nodeId: line.nodeId,
    model: line.model,
    usageLines: line.leaseId === null ? 0 : line.entries,
    gpuSecondsHeld: secondsInWords(line.heldMs),
    gpuSecondsBilled: secondsInWords(line.billedMs),
    pricePerHourUsd: line.microUsdPerHour === null ? null : unitsInWords(line.microUsdPerHour, 'USD'),
    costUsd: unitsInWords(line.costMicroUsd, 'USD'),
    asset: line.asset,
    net: unitsInWords(line.amount - line.fee, asset),
    fees: unitsInWords(line.fee, asset),
    total: unitsInWords(line.amount, asset),
    note: line.note,
  };
}

function subtotalsOf(kind: InvoiceKind, lines: readonly PlacedLine[]): InvoiceSubtotal[] {
  const groups = new Map<string, { subject: string | null; name: string; asset: Asset; lines: PlacedLine[] }>();
  for (const line of lines) {
    const subject = kind === 'invoice' ? line.clusterId : line.nodeId;
    const asset = line.asset ?? 'USD';
    const key = `${subject} ${asset}`;
    const name = (kind === 'invoice' ? line.clusterName : line.nodeName) ?? '';
    const group = groups.get(key) ?? { subject, name, asset, lines: [] };
    group.lines.push(line);
    groups.set(key, group);
  }
  const sum = (of: readonly PlacedLine[], name: 'heldMs' | 'billedMs') =>
    of.reduce((all, line) => all + line[name], 0n);
  return [...groups.values()].map(({ subject, name, asset, lines: of }) => ({
    subject,
    name,
    ...totalInWords(totalsOf(of)[0] ?? { asset, amount: 0n, fee: 0n }),
    gpuSecondsHeld: secondsInWords(sum(of, 'heldMs')),
    gpuSecondsBilled: secondsInWords(sum(of, 'billedMs')),
    costUsd: unitsInWords(costOf(of), 'USD'),
  }));
}

export const documentInWords = ({ head, lines }: InvoiceDocument): InvoiceWithSubtotals => ({
  ...headInWords(head),
  subtotals: subtotalsOf(head.kind, lines),
});
