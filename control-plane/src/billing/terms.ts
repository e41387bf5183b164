/** What usage is computed with before its own price of IO is known. */
import type { Asset } from '@iocloud/contracts';
import type { Fees, UsageTerms } from '../core/billing/index.js';
import type { IoPrice } from './wiring.js';

/** Null: of an amount in IO, of which no price was ever known. What is paid in dollars is the same at any. */
export function termsFor(asset: Asset, fees: Fees, { last }: IoPrice): UsageTerms | null {
  const usdPerIo = last ?? (asset === 'IO' ? null : { numerator: 1n, denominator: 1n });
  return usdPerIo && { asset, fees, usdPerIo };
}
