/** Stretches of time, in milliseconds, the end excluded. Pure. */

export interface Span {
  fromMs: number;
  /** Null: it has no end yet. */
  untilMs: number | null;
}

interface Closed {
  fromMs: number;
  untilMs: number;
}
const endOf = (span: Span) => span.untilMs ?? Number.POSITIVE_INFINITY;
const spanOf = ({ fromMs, untilMs }: Closed): Span => ({
  fromMs,
  untilMs: untilMs === Number.POSITIVE_INFINITY ? null : untilMs,
});

/** In order, without overlaps and without empty ones. */
export function union(spans: readonly Span[]): Span[] {
  const found: Closed[] = [];
  for (const span of [...spans].sort((left, right) => left.fromMs - right.fromMs)) {
    const next = { fromMs: span.fromMs, untilMs: endOf(span) };
    if (next.untilMs <= next.fromMs) continue;
    const last = found.at(-1);
    if (last && next.fromMs <= last.untilMs) last.untilMs = Math.max(last.untilMs, next.untilMs);
    else found.push(next);
  }
  return found.map(spanOf);
}

/** What is in both. */
export function both(left: readonly Span[], right: readonly Span[]): Span[] {
  return union(
    left.flatMap(one =>
      right.map(other =>
        spanOf({ fromMs: Math.max(one.fromMs, other.fromMs), untilMs: Math.min(endOf(one), endOf(other)) }),
      ),
    ),
  );
}

/** What is in the first and not in the second. */
export function without(spans: readonly Span[], taken: readonly Span[]): Span[] {
  const gaps: Span[] = [];
  let fromMs = Number.NEGATIVE_INFINITY;
  for (const span of union(taken)) {
    gaps.push({ fromMs, untilMs: span.fromMs });
    fromMs = endOf(span);
  }
  gaps.push({ fromMs, untilMs: null });
  return both(spans, gaps);
}

/** How much of it lies before then. */
export const lengthUntil = (spans: readonly Span[], atMs: number): number =>
  spans.reduce((sum, span) => sum + Math.max(0, Math.min(endOf(span), atMs) - span.fromMs), 0);
