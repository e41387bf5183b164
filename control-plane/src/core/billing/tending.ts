/**
 * What to do about a tenant's orders as they run: which holds are to grow, and until when each order is paid for. Pure.
 */
import type { Asset } from '@iocloud/contracts';
import { coveredCost, type Exposure, lastsMs, needOf } from './escrow.js';
import type { UsageTerms } from './usage.js';

const hourMs = 3_600_000n;

export interface OrderState {
  id: string;
  asset: Asset;
  /** In its hold. */
  left: bigint;
  /** By an operator's hand: nothing can be set aside in it any more. */
  isClosed: boolean;
  /** Its limit is what is left of its cluster's budget. */
  exposure: Exposure;
}

/** What a tenant may still spend, in micro-USD; null: no cap. */
export interface CapsLeft {
  day: bigint | null;
  month: bigint | null;
}

export interface TenantState {
  orders: readonly OrderState[];
  available: ReadonlyMap<Asset, bigint>;
  caps: CapsLeft;
  nowMs: number;
  /** When the day and the month are over, and with them what was spent in them. */
  dayEndMs: number;
  monthEndMs: number;
}

export interface PaidUntil {
  atMs: number;
  why: string;
}

export interface Tending {
  topUps: { id: string; amount: bigint }[];
  /** By order; null: what it needs next is set aside, or can be. */
  ends: Map<string, PaidUntil | null>;
  /** For how long all that the tenant has pays for all that runs; null: nothing that costs anything runs. */
  lastsMs: bigint | null;
}

export const lowerOf = ({ day, month }: CapsLeft): bigint | null =>
  day === null ? month : month === null || day < month ? day : month;

export function tend(state: TenantState, aheadMs: bigint, termsOf: (asset: Asset) => UsageTerms): Tending {
  const purse = new Map(state.available);
  const cap = capEnd(state);
  const topUps: Tending['topUps'] = [];
  const ends: Tending['ends'] = new Map();
  let worth = 0n;
  let perHour = 0n;
  for (const { id, asset, left, isClosed, exposure } of state.orders) {
    if (isClosed) {
      if (exposure.perHour > 0n) ends.set(id, { atMs: state.nowMs, why: 'its hold was closed by an operator' });
      continue;
    }
    const terms = termsOf(asset);
    const { least, full } = needOf({ ...exposure, limit: lower(exposure.limit, lowerOf(state.caps)) }, aheadMs, terms);
    const has = purse.get(asset) ?? 0n;
    const wanted = left < least ? full - left : 0n;
    const amount = wanted < has ? wanted : has > 0n ? has : 0n;
    if (amount > 0n) topUps.push({ id, amount });
    purse.set(asset, has - amount);
    const lasts = lastsMs(left + amount, exposure, terms);
    const moneyEnd = amount < wanted && lasts !== null ? at(state.nowMs, lasts, 'its money is spent') : null;
    ends.set(id, exposure.perHour > 0n ? earlier(moneyEnd, cap) : null);
    worth += coveredCost(left + amount, terms) - exposure.accrued;
    perHour += exposure.perHour;
  }
  for (const asset of new Set(state.orders.map(order => order.asset))) {
    worth += coveredCost(purse.get(asset) ?? 0n, termsOf(asset));
  }
  return { topUps, ends, lastsMs: perHour > 0n ? ((worth > 0n ? worth : 0n) * hourMs) / perHour : null };
}

/** When the first of the caps is reached by what runs, if that is before its day or month is over. */
export function capEnd({
  orders,
  caps,
  nowMs,
  dayEndMs,
  monthEndMs,
}: Omit<TenantState, 'available'>): PaidUntil | null {
  const perHour = orders.reduce((sum, { exposure }) => sum + exposure.perHour, 0n);
  if (perHour <= 0n) return null;
  const end = (left: bigint | null, overMs: number, why: string): PaidUntil | null => {
    if (left === null) return null;
    const reached = at(nowMs, left > 0n ? (left * hourMs) / perHour : 0n, why);
    return reached.atMs < overMs ? reached : null;
  };
  return earlier(
    end(caps.day, dayEndMs, 'what its tenant may spend in a day is spent'),
    end(caps.month, monthEndMs, 'what its tenant may spend in a month is spent'),
  );
}

const farMs = 36_500n * 86_400_000n;
const at = (nowMs: number, inMs: bigint, why: string): PaidUntil => ({
  atMs: nowMs + Number(inMs < farMs ? inMs : farMs),
  why,
});
const lower = (a: bigint | null, b: bigint | null) => lowerOf({ day: a, month: b });

function earlier(a: PaidUntil | null, b: PaidUntil | null): PaidUntil | null {
  if (!a || !b) return a ?? b;
  return a.atMs <= b.atMs ? a : b;
}
