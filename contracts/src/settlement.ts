/** Money between the ledger and the chain, as it is seen from outside. */
import { z } from 'zod';
import { type Asset, parseUnits } from './amounts.js';
import { payoutAddressId, payoutId, tenantId } from './ids.js';

export const settledAsset = z.enum(['IO', 'USDC']).meta({ id: 'SettledAsset' });
const amount = z.string().describe('decimal, with all decimals of the asset');
const amountWanted = z
  .string()
  .regex(
    /^(?=[0.]*[1-9])\d{1,9}(\.\d{1,8})?$/,
    'expected an amount above zero such as "12.5", below a thousand million',
  );
const base58Address = z
  .string()
  .regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, 'expected a Solana address: 32 to 44 characters of base 58');
const fits = ({ asset, amount }: { asset: Asset; amount: string }) => parseUnits(amount, asset) !== null;

export const depositAddress = z
  .object({
    address: base58Address.describe('of the tenant alone; send tokens of these mints to it, nothing else'),
    mints: z.array(z.object({ asset: settledAsset, mint: base58Address, least: amount })),
  })
  .meta({ id: 'DepositAddress' });
export type DepositAddress = z.infer<typeof depositAddress>;

export const deposit = z
  .object({
    signature: z.string(),
    url: z.string().describe('of its transaction, in an explorer of the chain'),
    asset: settledAsset.nullable().describe('null: tokens of a mint that is not settled'),
    mint: z.string(),
    amount: z.string().describe('decimal; of what is ignored the units as they are'),
    state: z.enum(['small', 'credited', 'ignored']).describe('small: credited together with the next ones'),
    transactionId: z.int().nullable().describe('in the ledger'),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Deposit' });
export type Deposit = z.infer<typeof deposit>;

export const payoutAddress = z
  .object({
    id: payoutAddressId,
    address: base58Address,
    label: z.string(),
    addedBy: z.string(),
    usableAt: z.iso.datetime().describe('nothing is paid out to it before'),
  })
  .meta({ id: 'PayoutAddress' });
export type PayoutAddress = z.infer<typeof payoutAddress>;
const code = z.string().regex(/^\d{6}$/, 'expected the six digits that your authenticator shows');
export const addPayoutAddress = z
  .strictObject({ address: base58Address, label: z.string().trim().max(100).default(''), code })
  .meta({ id: 'AddPayoutAddress' });

export const payoutState = z
  .enum([
    ...['requested', 'confirmed', 'reserved', 'signed', 'sent', 'finalized', 'failed'],
    ...['returned', 'cancelled', 'refused'],
  ] as const)
  .meta({ id: 'PayoutState' });
export const payout = z
  .object({
    id: payoutId,
    tenantId,
    source: z.enum(['available', 'earnings']),
    asset: settledAsset,
    amount,
    addressId: payoutAddressId,
    address: base58Address,
    state: payoutState,
    reason: z.string().describe('why it was refused or came back'),
    signature: z.string().nullable().describe('of the transaction that pays it'),
    url: z.string().nullable().describe('of the transaction, in an explorer of the chain'),
    requestedBy: z.string(),
    confirmedBy: z.string().nullable(),
    requestedAt: z.iso.datetime(),
    changedAt: z.iso.datetime(),
  })
  .meta({ id: 'Payout' });
export type Payout = z.infer<typeof payout>;
export const requestPayout = z
  .strictObject({
    source: z.enum(['available', 'earnings']),
    asset: settledAsset,
    amount: amountWanted,
    addressId: payoutAddressId,
  })
  .refine(fits, { path: ['amount'], message: 'more decimals than the asset has' })
  .refine(({ source, asset }) => source !== 'earnings' || asset === 'IO', {
    path: ['asset'],
    message: 'earnings are in IO',
  })
  .meta({ id: 'RequestPayout' });
export const payoutCode = z.strictObject({ code }).meta({ id: 'PayoutCode' });

export const secondFactor = z
  .object({
    proven: z.boolean().describe('a code of it has been shown'),
    uri: z.string().optional().describe('for an authenticator (otpauth://); shown once, when it is made'),
  })
  .meta({ id: 'SecondFactor' });
export type SecondFactor = z.infer<typeof secondFactor>;
export const newSecondFactor = z
  .strictObject({ code: code.optional().describe('of the present one, where there is one') })
  .meta({ id: 'NewSecondFactor' });

export const payoutSchedule = z
  .object({
    addressId: payoutAddressId,
    threshold: amount.describe('of earnings in IO, below which nothing is paid out'),
    every: z.enum(['hour', 'day']),
    nextAt: z.iso.datetime(),
  })
  .meta({ id: 'PayoutSchedule' });
export type PayoutSchedule = z.infer<typeof payoutSchedule>;
export const setPayoutSchedule = z
  .strictObject({ addressId: payoutAddressId, threshold: amountWanted, every: z.enum(['hour', 'day']), code })
  .meta({ id: 'SetPayoutSchedule' });

export const settlementStatus = z
  .object({
    configured: z.boolean(),
    treasury: z.string().nullable(),
    feePayer: z.string().nullable(),
    feePayerLamports: z.string().nullable(),
    lastTurnAt: z.iso.datetime().nullable(),
    slot: z.string().nullable(),
    paused: z.boolean(),
    balances: z.array(z.object({ asset: settledAsset, onChain: amount, inLedger: amount, difference: amount })),
    payouts: z
      .array(z.object({ state: payoutState, asset: settledAsset, count: z.int(), amount }))
      .describe('those under way'),
    differences: z.array(
      z.object({
        id: z.int(),
        asset: settledAsset,
        message: z.string(),
        openedAt: z.iso.datetime(),
        acknowledgedBy: z.string().nullable(),
      }),
    ),
    problems: z.array(z.string()),
  })
  .meta({ id: 'SettlementStatus' });
export type SettlementStatus = z.infer<typeof settlementStatus>;
