/**
 * A pool's card: what its leaf knows of it, in eight bytes, so that most pools of a leaf are passed over without a look at
 * the pool and its node, which lie anywhere in memory. The second word has the four kinds that make the score (price,
 * reputation, stake, load), each rounded up to 1/255.
 */
import { cpuPriceAt, gpuPriceAt, loadAt, reputationAt, stakeAt } from './figures.js';
import { basePricePart, type Inventory } from './inventory.js';
import { noModel } from './pools.js';
import type { GroupQuery } from './query.js';

/** Words of a card: traits, kinds. */
export const cardSize = 2;

const rounded = (part: number): number => Math.min(255, Math.ceil(part * 255));
/** A hair more than the part, for sums are rounded. */
const parts = Float64Array.from({ length: 256 }, (_, byte) => byte / 255 + 1e-9);

export function writeCard(cards: Int32Array, at: number, inventory: Inventory, pool: number): void {
  const { figures, pools } = inventory;
  const slot = pools.node(pool);
  const hasDevices = pools.model(pool) !== noModel;
  const price = basePricePart(hasDevices, figures.get(slot, gpuPriceAt), figures.get(slot, cpuPriceAt));
  cards[at] = figures.traits(slot);
  cards[at + 1] =
    (rounded(price) << 24) |
    (rounded(figures.get(slot, reputationAt)) << 16) |
    (rounded(figures.get(slot, stakeAt)) << 8) |
    rounded(1 - figures.get(slot, loadAt));
}

/** The pool's score without speed, place and fit is no more; -1 when it lacks what is asked. */
export function cardBound(cards: Int32Array, at: number, query: GroupQuery): number {
  if (((cards[at] as number) & query.traits) !== query.traits) return -1;
  const kinds = cards[at + 1] as number;
  const { share } = query;
  return (
    share.price * ((parts[kinds >>> 24] as number) + query.priceSlack) +
    share.reputation * (parts[(kinds >>> 16) & 255] as number) +
    share.stake * (parts[(kinds >>> 8) & 255] as number) +
    share.load * (parts[kinds & 255] as number)
  );
}
