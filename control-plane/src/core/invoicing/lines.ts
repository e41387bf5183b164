/** Entries gathered into the lines of an invoice. Pure. */
import type { Asset, LeaseId } from '@iocloud/contracts';
import type { Entry, LineKind } from './charge.js';
import { dayOf } from './months.js';

export interface Line {
  /** From 1, in the order in which they came. */
  n: number;
  kind: LineKind;
  leaseId: LeaseId | null;
  /** UTC, `2027-01-31`. */
  day: string;
  microUsdPerHour: bigint | null;
  asset: Asset | null;
  entries: number;
  costMicroUsd: bigint;
  heldMs: bigint;
  billedMs: bigint;
  amount: bigint;
  fee: bigint;
  note: string;
}

/** What is for no lease keeps a line of its own. */
const keyOf = ({ kind, leaseId, atMs, microUsdPerHour, asset, note, transactionId }: Entry): string =>
  JSON.stringify([
    kind,
    leaseId,
    dayOf(atMs),
    String(microUsdPerHour),
    asset,
    note,
    leaseId === null && kind !== 'reward' ? transactionId : null,
  ]);

/** One line for each lease, day, price, asset and kind. Of a million entries only the lines are kept. */
export class LineBook {
  readonly #lines = new Map<string, Line>();

  /** The number of the line that it is on. */
  add(entry: Entry): number {
    const key = keyOf(entry);
    const line = this.#lines.get(key) ?? this.#open(key, entry);
    line.entries += 1;
    for (const name of summed) line[name] += entry[name];
    return line.n;
  }

  #open(key: string, { kind, leaseId, atMs, microUsdPerHour, asset, note }: Entry): Line {
    const zero = { entries: 0, costMicroUsd: 0n, heldMs: 0n, billedMs: 0n, amount: 0n, fee: 0n };
    const line = { n: this.#lines.size + 1, kind, leaseId, day: dayOf(atMs), microUsdPerHour, asset, note, ...zero };
    this.#lines.set(key, line);
    return line;
  }

  lines(): Line[] {
    return [...this.#lines.values()];
  }
}
const summed = ['costMicroUsd', 'heldMs', 'billedMs', 'amount', 'fee'] as const;

export interface Total {
  asset: Asset;
  amount: bigint;
  fee: bigint;
}

/** By asset, in the order of their names. */
export function totalsOf(lines: readonly Pick<Line, 'asset' | 'amount' | 'fee'>[]): Total[] {
  const totals = new Map<Asset, Total>();
  for (const { asset, amount, fee } of lines) {
    if (asset === null) continue;
    const total = totals.get(asset) ?? { asset, amount: 0n, fee: 0n };
    totals.set(asset, { asset, amount: total.amount + amount, fee: total.fee + fee });
  }
  return [...totals.values()].sort((a, b) => (a.asset < b.asset ? -1 : 1));
}
