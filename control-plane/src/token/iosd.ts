/** IOSD: minted against burned IO, at the rate on record. */
import { type IosdMinted, parseUnits, type TenantId, unitsInWords } from '@iocloud/contracts';
import { iosdEntries } from '../core/billing/index.js';
import { iosdUnits } from '../core/token/index.js';
import { postTokens, type TokenPosting } from '../ledger/index.js';
import { Failure, type Transaction } from '../platform/index.js';
import type { TokenWiring } from './wiring.js';

export interface Burn {
  /** Unique for the tenant. */
  key: string;
  tenantId: TenantId;
  actor: string;
  amount: bigint;
  /** Least that shall come of it, smallest unit of IOSD. */
  atLeast: string | undefined;
}

/** Throws Failure. */
export async function burnForIosd(tx: Transaction, wiring: TokenWiring, wanted: Burn): Promise<IosdMinted> {
  const { key, tenantId, actor, amount, atLeast } = wanted;
  const rate = await wiring.rate(tx);
  if (rate === null)
    throw new Failure('conflict', 'there is no rate of IO that may be counted with; see `iocloud price io`');
  const minted = iosdUnits(amount, rate.attoUsdPerIo);
  if (minted === 0n) throw new Failure('bad-request', 'body.amount: comes to less than a unit of IOSD');
  const words = unitsInWords(minted, 'IOSD');
  if (atLeast !== undefined && minted < (parseUnits(atLeast, 'IOSD') ?? 0n)) {
    throw new Failure('conflict', `at ${rate.usdPerIo} USD for an IO it comes to ${words} IOSD, less than ${atLeast}`);
  }
  const burned = unitsInWords(amount, 'IO');
  const posting: TokenPosting = {
    key: `iosd:${tenantId}:${key}`,
    kind: 'burn',
    memo: `${burned} IO burned for ${words} IOSD`,
    detail: { burned, minted: words, usdPerIo: rate.usdPerIo },
    actor,
    entries: iosdEntries(tenantId, amount, minted),
  };
  const [posted] = await postTokens(tx, [posting], `you have less than ${burned} IO available`);
  if (!posted?.isNew) throw new Failure('conflict', 'this Idempotency-Key has been used for a burn before');
  return { burned, minted: words, usdPerIo: rate.usdPerIo, transactionId: posted.id };
}
