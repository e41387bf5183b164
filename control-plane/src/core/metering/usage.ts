/** What a lease has used in each of its windows, from its counters. Pure. */
import { type Curve, countedAt } from './curve.js';
import type { Amounts } from './windows.js';

export interface Counters {
  allocatedMs: Curve;
  billableMs: Curve;
  cpuMs: Curve;
  mibSeconds: Curve;
  egressBytes: Curve;
}
/** Of an amount that was told for a stretch of time. */
export interface Told {
  fromMs: number;
  untilMs: number;
  cpuMs: number;
  mibSeconds: number;
  egressBytes: number;
}

/** Windows that are next to each other: what has been counted is cut at their boundaries, so nothing is lost between them. */
export function usageOf(
  starts: readonly number[],
  windowMs: number,
  devices: number,
  counters: Counters,
  told: readonly Told[],
): Map<number, Amounts> {
  const between = (curve: Curve, fromMs: number) => countedAt(curve, fromMs + windowMs) - countedAt(curve, fromMs);
  const toldIn = (kind: 'cpuMs' | 'mibSeconds' | 'egressBytes', fromMs: number) =>
    told.reduce((sum, one) => sum + shareUntil(one, kind, fromMs + windowMs) - shareUntil(one, kind, fromMs), 0);
  return new Map(
    starts.map(fromMs => {
      const billableMs = between(counters.billableMs, fromMs);
      const allocatedMs = between(counters.allocatedMs, fromMs);
      const amounts = {
        billableMs,
        allocatedMs,
        deviceBillableMs: devices * billableMs,
        deviceAllocatedMs: devices * allocatedMs,
        cpuMs: between(counters.cpuMs, fromMs) + toldIn('cpuMs', fromMs),
        mibSeconds: between(counters.mibSeconds, fromMs) + toldIn('mibSeconds', fromMs),
        egressBytes: between(counters.egressBytes, fromMs) + toldIn('egressBytes', fromMs),
      };
      return [fromMs, amounts];
    }),
  );
}

/** Spread evenly over its time. */
function shareUntil(told: Told, kind: 'cpuMs' | 'mibSeconds' | 'egressBytes', atMs: number): number {
  if (atMs <= told.fromMs) return 0;
  if (atMs >= told.untilMs) return told[kind];
  return Math.floor((told[kind] * (atMs - told.fromMs)) / (told.untilMs - told.fromMs));
}
