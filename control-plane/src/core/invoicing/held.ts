/** What a job held of its cluster in a window. Pure. */

interface Span {
  fromMs: number;
  untilMs: number;
}

/** Accelerators × time, in milliseconds; accelerators may be tenths of one. */
export function gpuMsHeld(window: Span, time: Span, gpus: number): bigint {
  const ms = Math.min(window.untilMs, time.untilMs) - Math.max(window.fromMs, time.fromMs);
  return ms <= 0 ? 0n : BigInt(Math.round(ms * gpus));
}
