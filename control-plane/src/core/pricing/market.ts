/** The market price of one model for an hour: the curve over utilisation, and how far a price goes towards it in an hour. */
import { million, roundedRatio } from './ratio.js';

/** All in millionths. The price at the target is the base price; `floor` and `ceiling` are shares of it. */
export interface Curve {
  targetPpm: number;
  floorPpm: number;
  ceilingPpm: number;
  /** Of the distance to the curve's price, what is gone in an hour. */
  smoothingPpm: number;
  /** Of the price before, the most by which it changes in an hour. */
  largestStepPpm: number;
}

/** Device-seconds of one hour, or of any time. */
export interface Use {
  used: bigint;
  offered: bigint;
}

/** Null where nothing was offered: that says nothing of demand. */
export const utilisationPpm = ({ used, offered }: Use): number | null =>
  offered <= 0n ? null : Number(roundedRatio((used < offered ? used : offered) * million, offered));

/**
 * Where the price goes if utilisation stays: from the floor at 0 straight to the base price at the target, and from there
 * straight to the ceiling at 100 %. Without utilisation: the base price.
 */
export function aimOf(baseMicroUsd: number, curve: Curve, utilisation: number | null): number {
  const base = BigInt(baseMicroUsd);
  if (utilisation === null) return baseMicroUsd;
  const at = BigInt(utilisation);
  const target = BigInt(curve.targetPpm);
  const [from, to, way, length] =
    at <= target
      ? [BigInt(curve.floorPpm), million, at, target]
      : [million, BigInt(curve.ceilingPpm), at - target, million - target];
  return Number(roundedRatio(base * (from * length + (to - from) * way), million * length));
}

/**
 * A part of the way from the price before to the aim: at least one micro-USD, so that it arrives, and at most the largest
 * step (one micro-USD where that rounds to nothing). It never passes the aim, so between bounds it stays between them.
 */
export function nextPrice(beforeMicroUsd: number, aimMicroUsd: number, curve: Curve): number {
  const before = BigInt(beforeMicroUsd);
  const distance = BigInt(aimMicroUsd) - before;
  if (distance === 0n) return beforeMicroUsd;
  const length = distance < 0n ? -distance : distance;
  const part = (length * BigInt(curve.smoothingPpm) + million - 1n) / million;
  const limit = (before * BigInt(curve.largestStepPpm)) / million;
  const step = part < limit ? part : limit > 1n ? limit : 1n;
  return Number(distance < 0n ? before - step : before + step);
}
