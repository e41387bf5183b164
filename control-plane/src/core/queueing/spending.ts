/** Budgets: price times the time that something is held. Amounts are integers of micro-USD. */

const hourMs = 3_600_000;

/** Rounded up: the renter's budget covers what is charged for a part of the last micro-dollar, too. */
export function costMicroUsd(microUsdPerHour: number, heldMs: number): number {
  const product = microUsdPerHour * heldMs;
  if (Number.isSafeInteger(product)) return Math.ceil(product / hourMs);
  const hours = BigInt(hourMs);
  return Number((BigInt(Math.ceil(microUsdPerHour)) * BigInt(Math.ceil(heldMs)) + hours - 1n) / hours);
}

/** The longest time for which the cost stays within what is left. */
export function affordableMs(leftMicroUsd: number, microUsdPerHour: number): number {
  if (microUsdPerHour <= 0) return Number.POSITIVE_INFINITY;
  if (leftMicroUsd <= 0) return 0;
  return Number((BigInt(Math.floor(leftMicroUsd)) * BigInt(hourMs)) / BigInt(Math.ceil(microUsdPerHour)));
}

/** The highest price at which holding something for so long costs no more than what is left. */
export function affordableMicroUsdPerHour(leftMicroUsd: number, heldMs: number): number {
  if (heldMs <= 0) return Number.POSITIVE_INFINITY;
  if (leftMicroUsd <= 0) return 0;
  return Number((BigInt(Math.floor(leftMicroUsd)) * BigInt(hourMs)) / BigInt(Math.ceil(heldMs)));
}
