/** Invoices of renters and statements of suppliers: a month of charges, line by line, and why each line is what it is. */
import { z } from 'zod';
import { clusterId, leaseId, nodeId, tenantId } from './ids.js';
import { asset, ledgerTransaction, transactionId } from './ledger.js';
import { priceVersion } from './prices.js';

export const invoiceKind = z
  .enum(['invoice', 'statement'])
  .meta({ id: 'InvoiceKind', description: 'invoice: what a renter pays; statement: what a supplier has earned' });
export type InvoiceKind = z.infer<typeof invoiceKind>;

const month = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'expected a month such as 2027-01');
export const invoiceReference = z
  .string()
  .regex(
    /^(in_[0-9a-hjkmnp-tv-z]{20}|(invoice|statement)-\d{4}-(0[1-9]|1[0-2]))$/,
    'expected the id of an invoice, or "invoice-2027-01" or "statement-2027-01"',
  )
  .describe('an id, or the month: its invoice if it has been closed, else as it stands now');

const units = z.string().describe('decimal, with all decimals of the asset; negative: given back');
const usd = z.string().describe('in USD, with six decimals');
const seconds = z.string().describe('accelerator-seconds, with three decimals');

export const issuer = z
  .strictObject({
    name: z.string().min(1).max(200),
    address: z.array(z.string().max(200)).max(10).default([]),
    taxId: z.string().max(100).default(''),
    contact: z.string().max(200).default(''),
    note: z.string().max(2_000).default('').describe('below the total, such as terms'),
  })
  .meta({ id: 'InvoiceIssuer' });
export type Issuer = z.infer<typeof issuer>;

const invoiceTotal = z
  .object({
    asset,
    net: units.describe('without fees'),
    fees: units.describe('of the renter, on top; a statement has none, as earnings are after fees'),
    total: units,
  })
  .meta({ id: 'InvoiceTotal' });
export type InvoiceTotal = z.infer<typeof invoiceTotal>;

export const invoice = z
  .object({
    id: z.string().nullable().describe('null: not closed yet'),
    reference: invoiceReference,
    kind: invoiceKind,
    number: z.string().nullable().describe('without gaps for each tenant and kind'),
    tenantId,
    tenantName: z.string(),
    month,
    from: z.iso.datetime(),
    until: z.iso.datetime(),
    closedAt: z.iso.datetime().nullable(),
    issuer,
    lines: z.int(),
    costUsd: usd.describe('of the usage, before fees'),
    totals: z.array(invoiceTotal),
  })
  .meta({ id: 'Invoice' });
export type Invoice = z.infer<typeof invoice>;

export const invoiceSubtotal = invoiceTotal
  .extend({
    subject: z.string().nullable().describe('cluster of an invoice, machine of a statement; null: of neither'),
    name: z.string(),
    gpuSecondsHeld: seconds,
    gpuSecondsBilled: seconds,
    costUsd: usd,
  })
  .meta({ id: 'InvoiceSubtotal' });
export type InvoiceSubtotal = z.infer<typeof invoiceSubtotal>;

export const invoiceWithSubtotals = invoice
  .extend({ subtotals: z.array(invoiceSubtotal).describe('by cluster, or of a statement by machine') })
  .meta({ id: 'InvoiceWithSubtotals' });
export type InvoiceWithSubtotals = z.infer<typeof invoiceWithSubtotals>;

export const invoiceLineKind = z
  .enum(['usage', 'correction', 'reward', 'other', 'free'])
  .meta({ id: 'InvoiceLineKind', description: 'correction: of usage that was charged otherwise or came too late' });
export type InvoiceLineKind = z.infer<typeof invoiceLineKind>;

export const invoiceLine = z
  .object({
    n: z.int().positive(),
    kind: invoiceLineKind,
    day: z.iso.date().describe('UTC, of the usage'),
    clusterId: clusterId.nullable().describe('null on a statement, and where the charge was for no lease'),
    clusterName: z.string().nullable(),
    leaseId: leaseId.nullable(),
    nodeId: nodeId.nullable(),
    model: z.string().nullable().describe('of the accelerators leased'),
    usageLines: z.int(),
    gpuSecondsHeld: seconds,
    gpuSecondsBilled: seconds,
    pricePerHourUsd: usd.nullable().describe('of the lease'),
    costUsd: usd,
    asset: asset.nullable().describe('null: nothing was paid'),
    net: units,
    fees: units,
    total: units,
    note: z.string(),
  })
  .meta({ id: 'InvoiceLine' });
export type InvoiceLine = z.infer<typeof invoiceLine>;

const jobShare = z.object({
  submissionId: z.string(),
  raySubmissionId: z.string().describe('as the Ray head of the cluster knows it'),
  attempt: z.int(),
  gpus: z.number(),
  gpuSecondsHeld: seconds.describe('of the cluster, in the window'),
});

export const usageReason = z
  .object({
    usageLineId: z.int(),
    leaseId,
    nodeId,
    clusterId: clusterId.nullable().describe('null for the supplier'),
    from: z.iso.datetime(),
    until: z.iso.datetime(),
    revision: z.int().describe('0: the window as it was closed; each later one corrects it'),
    secondsHeld: z.string(),
    secondsBilled: z.string(),
    gpuSecondsHeld: seconds,
    gpuSecondsBilled: seconds,
    evidence: z.record(z.string(), z.unknown()).describe('what the meter went by: series, samples, rules'),
    costUsd: usd,
    pricePerHourUsd: usd,
    usdPerIo: z.string().nullable().describe('a fraction; null where no IO took part'),
    reason: z.string().describe('why it costs what it does, where that is not its price'),
    transactionId: transactionId.nullable(),
    jobs: z.array(jobShare).describe('that ran on the cluster then; none for the supplier'),
  })
  .meta({ id: 'UsageReason' });
export type UsageReason = z.infer<typeof usageReason>;

const priceBasis = z.object({
  leaseId,
  pricePerHourUsd: usd.describe('agreed on when the lease was made'),
  basis: z.record(z.string(), z.unknown()).describe('how it came about'),
  versions: z.array(priceVersion).describe('of the market, where the machine takes its price'),
});
export type PriceBasis = z.infer<typeof priceBasis>;

export const why = z
  .object({
    usage: z.array(usageReason),
    prices: z.array(priceBasis),
    transactions: z.array(ledgerTransaction),
    next: z.string().nullable().describe('pass as `after` for more usage'),
  })
  .meta({ id: 'Why' });
export type Why = z.infer<typeof why>;
export const lineWhy = why.extend({ line: invoiceLine }).meta({ id: 'InvoiceLineWhy' });
export type LineWhy = z.infer<typeof lineWhy>;

export const invoiceCheck = z
  .object({
    clean: z.boolean(),
    invoices: z.int(),
    entries: z.int(),
    differences: z.array(
      z.object({
        what: z.enum(['amount', 'missing', 'gap']),
        subject: z.string().describe('id of an invoice, a transaction or a tenant'),
        message: z.string(),
      }),
    ),
  })
  .meta({ id: 'InvoiceCheck' });
export type InvoiceCheck = z.infer<typeof invoiceCheck>;
