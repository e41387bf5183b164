/** IOCLOUD_SETTLEMENT_FILE: mints, limits and waits. What it does not say keeps its default. */
import { parseUnits } from '@iocloud/contracts';
import { z } from 'zod';
import type { FeeTerms } from '../core/settlement/index.js';
import { ConfigError, parseStated, readStated } from '../platform/index.js';

export type SettledAsset = 'IO' | 'USDC';
export const settledAssets: readonly SettledAsset[] = ['IO', 'USDC'];

const mint = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, 'an address in base 58');
const amountOf = (asset: SettledAsset, fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine(text => (parseUnits(text, asset) ?? 0n) > 0n, 'a decimal above zero in a string')
    .transform(text => parseUnits(text, asset) ?? 0n);
const amounts = (io: string, usdc: string) =>
  z.strictObject({ IO: amountOf('IO', io), USDC: amountOf('USDC', usdc) }).prefault({});
const lamports = (fallback: number) => z.int().min(0).default(fallback).transform(BigInt);

const schema = z.strictObject({
  mints: z
    .strictObject({ IO: mint.optional(), USDC: mint.optional() })
    .refine(({ IO, USDC }) => (IO ?? USDC) !== undefined, 'at least one of IO and USDC'),
  explorerUrl: z
    .string()
    .regex(/^https?:\/\/.*\{signature\}/, 'a URL with {signature} in it')
    .default('https://explorer.solana.com/tx/{signature}'),
  leastDeposit: amounts('0.1', '0.1'),
  leastSweep: amounts('1', '1'),
  leastPayout: amounts('1', '1'),
  dailyLimit: amounts('10000', '10000'),
  addressWaitSeconds: z.int().min(0).max(2_592_000).default(86_400),
  nonceAccounts: z.int().min(1).max(8).default(2),
  stuckSeconds: z.int().min(1).max(86_400).default(600),
  turnSeconds: z.number().min(0.05).max(600).default(10),
  fees: z
    .strictObject({
      mostPriorityLamports: lamports(200_000),
      lamportsPerDay: lamports(500_000_000),
      lowLamports: lamports(50_000_000),
    })
    .prefault({}),
});
type Parsed = z.infer<typeof schema>;

export interface Terms extends Omit<Parsed, 'mints' | 'fees'> {
  mints: ReadonlyMap<SettledAsset, string>;
  fees: FeeTerms;
}

/** Throws ConfigError in one line. */
export async function loadTerms(file: string): Promise<Terms> {
  return termsOf(await readStated({ key: 'IOCLOUD_SETTLEMENT_FILE', file, docs: 'docs/settlement.md' }, schema));
}

export const parseTerms = (text: string): Terms => termsOf(parseStated(text, schema, why => new ConfigError(why)));

function termsOf(parsed: Parsed): Terms {
  const mints = new Map(
    settledAssets.flatMap(asset => {
      const of = parsed.mints[asset];
      return of === undefined ? [] : ([[asset, of]] as const);
    }),
  );
  return { ...parsed, mints };
}
