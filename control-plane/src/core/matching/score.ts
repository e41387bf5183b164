/**
 * How good a place for a worker is: one formula, the same for every node and every request.
 *
 *   score = Σ weight × part / Σ weight            (0 to 1; 1 is the best that could be)
 *
 * | part       | is                                                                                                  |
 * | ---------- | --------------------------------------------------------------------------------------------------- |
 * | price      | reference / (reference + price), of one worker an hour; the reference is 1 USD for each device that  |
 * |            | the worker has, or 0.02 USD for each CPU of a worker without devices. At the reference price: 0.5    |
 * | speed      | t / (t + 312), t: dense FP16 TFLOPS of the model; an A100 has 0.5. 0 where it is not known, 1 for a  |
 * |            | worker without devices                                                                              |
 * | place      | 50 ms / (50 ms + estimated latency) from where the renter wants to be near; 0 where the node's       |
 * |            | position is not known, 1 where the renter states no place                                           |
 * | reputation | the node's, 0 to 1                                                                                  |
 * | stake      | staked / required, at most 1                                                                        |
 * | load       | 1 − the node's live load                                                                            |
 * | fit        | packing: how full the node's devices of this model (its CPUs, for a worker without devices) are with |
 * |            | the worker there; spreading: 1 − that. 0 for a worker without devices where devices are free: those  |
 * |            | CPUs are wanted for them                                                                            |
 *
 * The references are constants, so that a score says the same whatever else is in the fleet, and falls or rises by
 * nothing but the node itself.
 */
import type { MicroUsdPerHour, ScoreParts, Weights } from './fleet/types.js';

export const priceReferenceMicroUsdPerDeviceHour: MicroUsdPerHour = 1_000_000;
export const priceReferenceMicroUsdPerCpuHour: MicroUsdPerHour = 20_000;
/** An A100's dense FP16 throughput. */
export const speedReferenceTflops = 312;
export const latencyReferenceMs = 50;
/**
 * Twice another part's: what is scattered over half-full nodes keeps large work waiting. At 0.5 jobs paid the same and waited
 * half as long again (placement-wait.bench.ts).
 */
export const defaultFitWeight = 2;

/** Counts every part alike: for requests that state no preferences. */
export const evenWeights: Weights = { price: 1, speed: 1, place: 1, reputation: 1, stake: 1, load: 1 };

export const pricePart = (price: MicroUsdPerHour, reference: MicroUsdPerHour): number =>
  reference + price > 0 ? reference / (reference + price) : 1;
export const speedPart = (tflops: number | null): number =>
  tflops === null ? 0 : tflops / (tflops + speedReferenceTflops);
export const placePart = (latencyMs: number): number => latencyReferenceMs / (latencyReferenceMs + latencyMs);

/** Weights as shares of their sum; all 0 when that is 0. */
export function shares(weights: Weights): ScoreParts {
  const fit = weights.fit ?? defaultFitWeight;
  const all = [
    weights.price,
    weights.speed,
    weights.place,
    weights.reputation,
    weights.stake,
    weights.load,
    fit,
  ] as const;
  if (all.some(weight => !(weight >= 0 && Number.isFinite(weight)))) {
    throw new RangeError('A weight of the score must be a number of 0 or more');
  }
  const sum = all.reduce((total, weight) => total + weight, 0) || 1;
  return {
    price: weights.price / sum,
    speed: weights.speed / sum,
    place: weights.place / sum,
    reputation: weights.reputation / sum,
    stake: weights.stake / sum,
    load: weights.load / sum,
    fit: fit / sum,
  };
}

/**
 * The formula. Bounds of whole zones go through it too: added up in the same order, a part that is not smaller cannot
 * give a score that is smaller, even by rounding.
 */
export const combine = (
  share: ScoreParts,
  price: number,
  speed: number,
  place: number,
  reputation: number,
  stake: number,
  load: number,
  fit: number,
): number =>
  share.price * price +
  share.speed * speed +
  share.place * place +
  share.reputation * reputation +
  share.stake * stake +
  share.load * load +
  share.fit * fit;

/** Shortest way over the Earth's surface, in km. */
export function distanceKm(fromLatDeg: number, fromLonDeg: number, toLatDeg: number, toLonDeg: number): number {
  const rad = Math.PI / 180;
  const half = (degrees: number) => Math.sin((degrees * rad) / 2) ** 2;
  const h =
    half(toLatDeg - fromLatDeg) + Math.cos(fromLatDeg * rad) * Math.cos(toLatDeg * rad) * half(toLonDeg - fromLonDeg);
  return 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** Round trip. Light in glass makes 100 km of it a millisecond; cables are half as long again as the shortest way. */
export const estimatedLatencyMs = (km: number): number => 2 + (km * 1.5) / 100;
