/** The grid of windows, what a lease has used in each, and the lines that say so. Pure. */

/** Of a window, or of differences to what was known of it before. */
export interface Amounts {
  billableMs: number;
  allocatedMs: number;
  deviceBillableMs: number;
  deviceAllocatedMs: number;
  cpuMs: number;
  mibSeconds: number;
  egressBytes: number;
}
const kinds = [
  ...(['billableMs', 'allocatedMs', 'deviceBillableMs', 'deviceAllocatedMs'] as const),
  ...(['cpuMs', 'mibSeconds', 'egressBytes'] as const),
];

export const windowStart = (atMs: number, windowMs: number): number => Math.floor(atMs / windowMs) * windowMs;

/** Beginnings of all windows that overlap with this time; none for an empty one. */
export function windowsIn(fromMs: number, untilMs: number, windowMs: number): number[] {
  const first = windowStart(fromMs, windowMs);
  const count = untilMs > fromMs ? Math.ceil((untilMs - first) / windowMs) : 0;
  return Array.from({ length: count }, (_, index) => first + index * windowMs);
}

export function combine(left: Amounts, right: Amounts, sign: 1 | -1): Amounts {
  const of = (kind: keyof Amounts) => left[kind] + sign * right[kind];
  return Object.fromEntries(kinds.map(kind => [kind, of(kind)])) as unknown as Amounts;
}
export const nothing: Amounts = Object.fromEntries(kinds.map(kind => [kind, 0])) as unknown as Amounts;
const isNothing = (amounts: Amounts) => kinds.every(kind => amounts[kind] === 0);

export interface Booked {
  /** Of the newest line of the window. */
  revision: number;
  /** Sum of its lines. */
  amounts: Amounts;
}
export interface NewLine {
  windowMs: number;
  revision: number;
  amounts: Amounts;
}

/** Lines that bring what is booked to what is known; none where it says so already. */
export function linesFor(known: ReadonlyMap<number, Amounts>, booked: ReadonlyMap<number, Booked>): NewLine[] {
  return [...known].flatMap(([windowMs, amounts]) => {
    const before = booked.get(windowMs);
    const difference = before ? combine(amounts, before.amounts, -1) : amounts;
    if (isNothing(difference)) return [];
    return [{ windowMs, revision: before ? before.revision + 1 : 0, amounts: difference }];
  });
}
