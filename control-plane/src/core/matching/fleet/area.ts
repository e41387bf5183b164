/** Where a request may go and how near that is to where it wants to be. */
import { placePart } from '../score.js';
import type { Geography, Latencies, Point } from './geography.js';
import type { PlacementRequest } from './types.js';

/** Of so many places in order the best is kept together. */
const stride = 16;

export interface Area {
  /** By place: 1 where the request may go; null where it may go anywhere. */
  allowed: Uint8Array | null;
  latencies: Latencies | null;
  maxLatencyMs: number;
  /** Best place part of any node. */
  best: number;
  /** Null where looking through all nodes whatever their place is better. */
  parts: PlaceParts | null;
}

/** What places are worth, and what the best between two of them is, in the order of places. O(√n) with n places. */
export class PlaceParts {
  readonly #rank: Int32Array;
  /** By rank: no node there has a better place part; -1 where the request may not go. */
  readonly #parts: Float64Array;
  readonly #best: Float64Array;

  constructor(geography: Geography, partOf: (place: number) => number) {
    const { inOrder } = geography;
    this.#rank = geography.rank;
    this.#parts = new Float64Array(inOrder.length);
    this.#best = new Float64Array(Math.ceil(inOrder.length / stride)).fill(-1);
    for (let rank = 0; rank < inOrder.length; rank++) {
      const part = partOf(inOrder[rank] as number);
      const group = Math.floor(rank / stride);
      this.#parts[rank] = part;
      if (part > (this.#best[group] as number)) this.#best[group] = part;
    }
  }

  /** -1 where the request may go to none of them. */
  between(firstPlace: number, lastPlace: number): number {
    const last = this.#rank[lastPlace] as number;
    let best = -1;
    for (let rank = this.#rank[firstPlace] as number; rank <= last; ) {
      const whole = rank % stride === 0 && rank + stride - 1 <= last;
      const part = (whole ? this.#best[rank / stride] : this.#parts[rank]) as number;
      if (part > best) best = part;
      rank += whole ? stride : 1;
    }
    return best;
  }
}

/** `placeCounts`: the score depends on the place. */
export function areaOf(
  where: PlacementRequest['where'],
  placeCounts: boolean,
  geography: Geography,
  latenciesFrom: (point: Point) => Latencies,
): Area {
  const { near } = where;
  const allowed = allowedPlaces(where, geography);
  if (near === undefined) {
    return {
      allowed,
      latencies: null,
      maxLatencyMs: Number.POSITIVE_INFINITY,
      best: 1,
      parts:
        allowed !== null && countOf(allowed) * 2 <= allowed.length
          ? new PlaceParts(geography, place => (allowed[place] === 1 ? 1 : -1))
          : null,
    };
  }
  const maxLatencyMs = where.maxLatencyMs ?? Number.POSITIVE_INFINITY;
  let best = 0;
  const parts = new PlaceParts(geography, place => {
    if (allowed !== null && allowed[place] === 0) return -1;
    const least = geography.leastLatencyMs(place, near);
    if (least > maxLatencyMs) return -1;
    const part = placePart(least);
    if (part > best) best = part;
    return part;
  });
  const anywhere = allowed === null && maxLatencyMs === Number.POSITIVE_INFINITY && !placeCounts;
  return { allowed, latencies: latenciesFrom(near), maxLatencyMs, best, parts: anywhere ? null : parts };
}

const countOf = (allowed: Uint8Array): number => allowed.reduce((count, one) => count + one, 0);

function allowedPlaces(where: PlacementRequest['where'], geography: Geography): Uint8Array | null {
  const { countries, excludeCountries, regions } = where;
  if (countries === undefined && regions === undefined && !excludeCountries?.length) return null;
  const allowed = new Uint8Array(geography.placeCount);
  const placesOf = (country: string) => geography.placesOfCountry[geography.countries.find(country)] ?? [];
  if (countries === undefined) allowed.fill(1);
  else for (const country of countries) for (const place of placesOf(country)) allowed[place] = 1;
  for (const country of excludeCountries ?? []) for (const place of placesOf(country)) allowed[place] = 0;
  if (regions !== undefined) {
    for (let place = 0; place < allowed.length; place++) {
      if (!regions.includes(geography.placeRegion[place] as string)) allowed[place] = 0;
    }
  }
  return allowed;
}
