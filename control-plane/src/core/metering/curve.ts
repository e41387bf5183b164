/**
 * From samples of a counter to what it had counted at any moment. Pure; the rules, with their reasons, are in
 * docs/metering.md. The order in which samples come makes no difference, nor does one that comes twice.
 */

export interface Sample {
  atMs: number;
  /** A whole or fractional number of the counter's unit since it began. */
  value: number;
}

/** When the counter began, at nothing, and when it ended: a sample from outside comes from a clock that is wrong. */
export interface Life {
  fromMs: number;
  /** Null: it still counts. */
  untilMs: number | null;
}

/** Never decreases; between two points it grows evenly, after the last not at all. */
export type Curve = readonly Sample[];

/** A counter that falls below so much of its highest value has begun anew; one that falls less was read by a clock that lags. */
const restartShare = 0.5;

export function curveOf(samples: readonly Sample[], { fromMs, untilMs }: Life, nowMs: number): Curve {
  const latest = Math.min(nowMs, untilMs ?? nowMs);
  const inOrder = samples
    .map(({ atMs, value }) => ({ atMs: Math.max(fromMs, Math.min(atMs, latest)), value }))
    .sort((left, right) => left.atMs - right.atMs || left.value - right.value);
  const points: Sample[] = [{ atMs: fromMs, value: 0 }];
  let [before, highest] = [0, 0];
  for (const { atMs, value } of inOrder) {
    if (value < highest * restartShare) {
      before += highest;
      highest = value;
    } else highest = Math.max(highest, value);
    const last = points.at(-1);
    if (last?.atMs === atMs) last.value = before + highest;
    else points.push({ atMs, value: before + highest });
  }
  return points;
}

/** What had been counted by then, rounded down to a whole unit. */
export function countedAt(curve: Curve, atMs: number): number {
  const next = indexAfter(curve, atMs);
  const from = curve[next - 1];
  const to = curve[next];
  if (!from) return 0;
  if (!to) return Math.floor(from.value);
  return Math.floor(from.value + ((to.value - from.value) * (atMs - from.atMs)) / (to.atMs - from.atMs));
}

/** Of the first point that is later. */
function indexAfter(curve: Curve, atMs: number): number {
  let [low, high] = [0, curve.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((curve[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One counter of samples whose counter began anew with each run: what earlier runs had reached is added. */
export function acrossRuns(samples: readonly (Sample & { run: string })[]): Sample[] {
  const runs = new Map<string, { sinceMs: number; highest: number }>();
  for (const { run, atMs, value } of samples) {
    const known = runs.get(run) ?? { sinceMs: atMs, highest: 0 };
    runs.set(run, { sinceMs: Math.min(known.sinceMs, atMs), highest: Math.max(known.highest, value) });
  }
  const inOrder = [...runs].sort(([left, a], [right, b]) => a.sinceMs - b.sinceMs || (left < right ? -1 : 1));
  const before = new Map<string, number>();
  let sum = 0;
  for (const [run, { highest }] of inOrder) {
    before.set(run, sum);
    sum += highest;
  }
  return samples.map(({ run, atMs, value }) => ({ atMs, value: value + (before.get(run) ?? 0) }));
}
