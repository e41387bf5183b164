/** IOCLOUD_SETTLEMENT_FILE: mints, limits and waits. What it does not say keeps its default. */
import { readFile } from 'node:fs/promises';
import { parseUnits } from '@iocloud/contracts';
import { z } from 'zod';
import type { FeeTerms } from '../core/settlement/index.js';
import { ConfigError } from '../platform/index.js';

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
  const refuse = (why: string, cause?: unknown) =>
    new ConfigError(`IOCLOUD_SETTLEMENT_FILE: ${file}: ${why} (docs/settlement.md)`, { cause });
  const text = await readFile(file, 'utf8').catch(error => {
    throw refuse(`cannot be read: ${error.code ?? error}`, error);
  });
  return parseTerms(text, refuse);
}

export function parseTerms(text: string, refuse: (why: string) => Error): Terms {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('is no JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    throw refuse(
      parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; '),
    );
  }
  const mints = new Map(
    settledAssets.flatMap(asset => {
      const of = parsed.data.mints[asset];
      return of === undefined ? [] : ([[asset, of]] as const);
    }),
  );
  return { ...parsed.data, mints };
}
