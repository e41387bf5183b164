/** The ledger as it is seen from outside: accounts, transactions and what is asked of it. */
import { z } from 'zod';
import { type Asset, assetDecimals, assets, parseUnits } from './amounts.js';
import { tenantId } from './ids.js';

export const asset = z.enum(assets).meta({ id: 'Asset', description: 'IO has 8 decimals, USDC, USD and IOSD have 6' });

export const accountKind = z
  .enum([
    ...['available', 'escrow', 'earnings', 'payout', 'stake', 'unstaking', 'slashed'],
    ...['deposits', 'fees', 'rounding', 'exchange', 'adjustments', 'chain', 'emission', 'burned'],
  ] as const)
  .meta({ id: 'LedgerAccountKind' });
export type AccountKind = z.infer<typeof accountKind>;

export const transactionKind = z
  .enum([
    ...['credit', 'hold', 'settlement', 'release', 'reversal'],
    ...['correction', 'deposit', 'payout', 'transfer', 'emission', 'stake', 'slash', 'burn'],
  ] as const)
  .meta({ id: 'LedgerTransactionKind' });
export type TransactionKind = z.infer<typeof transactionKind>;

const signedAmount = z.string().describe('decimal, with all decimals of the asset; credit is positive');
const positiveAmount = z
  .string()
  .regex(
    /^(?=[0.]*[1-9])\d{1,9}(\.\d{1,8})?$/,
    'expected an amount above zero such as "12.5", below a thousand million',
  );
const memo = z.string().trim().min(1).max(1_000);

export const holdReference = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'expected up to 64 letters, digits, ".", "_" and "-"')
  .describe('of the order, such as a cluster id; one hold for each, for ever');
export const transactionId = z.int().positive();

/** Refuses what the asset has no unit for. */
function checkDecimals({ asset, amount }: { asset: Asset; amount: string }, context: z.RefinementCtx): void {
  if (parseUnits(amount, asset) !== null) return;
  context.addIssue({ code: 'custom', path: ['amount'], message: `${asset} has ${assetDecimals[asset]} decimals` });
}

export const ledgerAccount = z
  .object({
    id: z.int(),
    kind: accountKind,
    asset,
    tenantId: tenantId.nullable().describe('null: of the network itself'),
    hold: holdReference.nullable().describe('the order that an escrow account is for'),
    closed: z.boolean().describe('a hold whose rest has gone back'),
    balance: signedAmount,
  })
  .meta({ id: 'LedgerAccount' });
export type LedgerAccount = z.infer<typeof ledgerAccount>;

export const ledgerEntry = z
  .object({
    kind: accountKind,
    asset,
    tenantId: tenantId.nullable(),
    hold: holdReference.nullable(),
    amount: signedAmount,
  })
  .meta({ id: 'LedgerEntry' });
export type LedgerEntry = z.infer<typeof ledgerEntry>;

export const ledgerTransaction = z
  .object({
    id: transactionId.describe('grows'),
    at: z.iso.datetime(),
    kind: transactionKind,
    memo: z.string(),
    detail: z.record(z.string(), z.string()).describe('what the amounts were computed from'),
    actor: z.string().describe('id of the user who posted it'),
    reverses: transactionId.nullable(),
    reversedBy: transactionId.nullable(),
    entries: z
      .array(ledgerEntry)
      .describe('for a tenant: its own and those of the network, not those of other tenants'),
  })
  .meta({ id: 'LedgerTransaction' });
export type LedgerTransaction = z.infer<typeof ledgerTransaction>;

export const creditTenant = z
  .strictObject({
    tenantId,
    asset: asset.refine(name => name !== 'IOSD', 'IOSD comes from burned IO alone'),
    amount: positiveAmount,
    reason: memo,
  })
  .superRefine(checkDecimals)
  .meta({ id: 'CreditTenant' });
export const reverseTransaction = z.strictObject({ reason: memo }).meta({ id: 'ReverseTransaction' });

export const openHold = z
  .strictObject({ reference: holdReference, tenantId, asset, amount: positiveAmount, memo })
  .superRefine(checkDecimals)
  .meta({ id: 'OpenHold' });
export const settleHold = z
  .strictObject({
    supplierId: tenantId.describe('tenant whose machine it was'),
    costUsd: positiveAmount
      .refine(text => parseUnits(text, 'USD') !== null, 'USD has 6 decimals')
      .describe('of the usage, before fees'),
    usdPerIo: z
      .string()
      .regex(/^(?=[0.]*[1-9])\d{1,12}(\.\d{1,12})?(\/[1-9]\d{0,11})?$/, 'expected a price such as "1.85" or "37/20"')
      .describe('what one IO costs in USD, exactly: a decimal or a fraction'),
    memo,
  })
  .meta({ id: 'SettleHold' });
export const hold = z
  .object({
    reference: holdReference,
    tenantId,
    asset,
    left: signedAmount,
    closed: z.boolean(),
  })
  .meta({ id: 'Hold' });
export type Hold = z.infer<typeof hold>;

export const trialBalance = z
  .object({
    lines: z.array(z.object({ asset, kind: accountKind, accounts: z.int(), balance: signedAmount })),
    totals: z.array(z.object({ asset, balance: signedAmount })).describe('zero, each of them'),
  })
  .meta({ id: 'TrialBalance' });
export type TrialBalance = z.infer<typeof trialBalance>;

export const ledgerCheck = z
  .object({
    clean: z.boolean(),
    accounts: z.int(),
    transactions: z.int(),
    postings: z.int(),
    differences: z.array(
      z.object({
        what: z.enum([
          ...['balance', 'unbalanced', 'incomplete', 'overdrawn'],
          ...['uncharged', 'cost', 'posting', 'spending'],
        ] as const),
        subject: z.string().describe('name of an account, id of a transaction, usage line or window of usage'),
        message: z.string(),
      }),
    ),
    differencesInAll: z.int().describe('of which the first hundred of each sort are listed'),
  })
  .meta({ id: 'LedgerCheck' });
export type LedgerCheck = z.infer<typeof ledgerCheck>;
