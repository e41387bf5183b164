/** Money is set aside before a machine of others is held, or it is said why it cannot be. */
import type { Asset } from '@iocloud/contracts';
import { unitsInWords, usdInWords } from '@iocloud/contracts/amounts';
import { type CapsLeft, lowerOf, unitsFor } from '../core/billing/index.js';
import { recordEvent } from '../events/index.js';
import { availableOf, lockPurse, openHold, readHolds, topUpHolds } from '../ledger/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { openOrders } from './exposure.js';
import { insertOrder, type LockedOrder, lockOrder } from './orders.js';
import type { Cover, CoverWanted, Price } from './ports.js';
import { capsLeft, settingsOf } from './settings.js';
import { termsFor } from './terms.js';
import { actor, type BillingTerms } from './wiring.js';

/** What could not be paid for so long is not started. */
const leastMs = 120_000n;
const hourMs = 3_600_000n;
const costOf = (perHour: bigint, ms: bigint) => (perHour * ms + hourMs - 1n) / hourMs;

/**
 * For leases that are made in the same transaction: a new hold, or more in the one that the cluster has. Takes the order's
 * row first, so that it is not closed meanwhile.
 */
export async function cover(tx: Transaction, terms: BillingTerms, wanted: CoverWanted): Promise<Cover> {
  const { clusterId, tenantId, name, now } = wanted;
  if (terms.mode === 'off' || wanted.microUsdPerHour === 0) return { orderId: null };
  const order = await lockOrder(tx, clusterId);
  const purse = await lockPurse(tx, tenantId, order ? [order.id] : []);
  const size = await sizeOf(tx, terms, wanted, order, asset => purse.get(asset) ?? 0n);
  if ('refused' in size) return size;
  const { asset, amount } = size;
  if (order) {
    await topUpHolds(tx, [{ reference: order.id, key: String(order.topUps + 1), amount }], actor);
    await tx.query('UPDATE orders SET top_ups = top_ups + 1 WHERE id = $1', [order.id]);
    return { orderId: order.id };
  }
  const orderId = await insertOrder(tx, { clusterId, tenantId, asset, now });
  await openHold(tx, { reference: orderId, tenantId, asset, amount, memo: `for ${name}`, actor });
  const message = `${unitsInWords(amount, asset)} ${asset} were set aside for ${name}`;
  await recordEvent(tx, { tenantId, subjectKind: 'cluster', subject: clusterId, reason: 'OrderOpened', message });
  return { orderId };
}

/** Why an order at this price would be refused now; null: it would not. */
export async function refusalOf(db: Queryable, terms: BillingTerms, price: Price): Promise<string | null> {
  if (terms.mode === 'off' || price.microUsdPerHour === 0) return null;
  const available = await availableOf(db, [price.tenantId]);
  const size = await sizeOf(db, terms, price, null, asset => available(price.tenantId, asset));
  return 'refused' in size ? size.refused : null;
}

/** What is to be set aside, and in which asset. */
async function sizeOf(
  db: Queryable,
  terms: BillingTerms,
  { tenantId, microUsdPerHour, budgetLeftMicroUsd, now }: Price,
  order: LockedOrder | null,
  available: (asset: Asset) => bigint,
): Promise<{ asset: Asset; amount: bigint } | { refused: string }> {
  const price = BigInt(microUsdPerHour);
  const settings = await settingsOf(db, tenantId);
  const others = (await openOrders(db, now, tenantId)).map(({ exposure }) => exposure);
  const accrued = others.reduce((sum, each) => sum + each.accrued, 0n);
  const perHour = others.reduce((sum, each) => sum + each.perHour, price);
  const caps = await capsLeft(db, tenantId, settings, accrued, now.getTime());
  const capped = capRefusal(caps, costOf(perHour, leastMs));
  if (capped !== null) return { refused: capped };
  const hold = order && (await readHolds(db, [order.id])).get(order.id);
  if (hold?.closed) return { refused: 'its hold was closed by an operator; it gets another one once it has ended' };
  const limits = [lowerOf(caps), budgetLeftMicroUsd === null ? null : BigInt(budgetLeftMicroUsd)];
  const cost = limits.reduce<bigint>(
    (least, limit) => (limit !== null && limit < least ? limit : least),
    costOf(price, terms.aheadMs),
  );
  if (cost <= 0n) return { refused: 'nothing of its budget is left' };
  const rate = await terms.rate(db);
  const asked = (order ? [order.asset] : settings.paysIn).map(asset => {
    const known = termsFor(asset, terms.fees, rate);
    return { asset, amount: known === null ? null : unitsFor(cost, known), has: available(asset) };
  });
  for (const { asset, amount, has } of asked) if (amount !== null && amount <= has) return { asset, amount };
  const words = asked.map(({ asset, amount, has }) =>
    amount === null
      ? `${asset} has no price now`
      : `${unitsInWords(amount, asset)} ${asset} are needed and ${unitsInWords(has, asset)} available`,
  );
  const first = `${Number(terms.aheadMs) / 60_000} minutes at $${usdInWords(microUsdPerHour)} an hour`;
  return { refused: `it is not covered: its first ${first} have to be set aside, with fees: ${words.join('; ')}` };
}

function capRefusal(caps: CapsLeft, least: bigint): string | null {
  if (caps.day !== null && caps.day < least) return 'what its tenant may spend in a day is spent';
  if (caps.month !== null && caps.month < least) return 'what its tenant may spend in a month is spent';
  return null;
}
