/** Where nodes are: places (a country and region) for filters, sites (coordinates) for distances. */
import { distanceKm, estimatedLatencyMs } from '../score.js';
import { grown, roomFor } from './columns.js';
import { Names } from './names.js';

export interface Point {
  latitudeDeg: number;
  longitudeDeg: number;
}

/** So much may rounding take off a distance: across the Earth the arcsine keeps half of the digits, 2 · 6371 km · √(2 ε) = 0.3 m. */
const roundingKm = 1e-3;

/** A place's area is a field of a grid of so many by so many, numbered so that neighbours are near each other (Z-order). */
const gridBits = 7;

export class Geography {
  readonly countries = new Names();
  readonly #places = new Names();
  readonly placeCountry: number[] = [];
  readonly placeRegion: string[] = [];
  readonly placesOfCountry: number[][] = [];
  /** By place: unlike for any two, and near for those that lie near each other. Stays as it was when the place first came. */
  readonly order: number[] = [];
  #inOrder: number[] = [];
  #rank = new Int32Array(0);
  readonly #sites = new Names();
  readonly siteLat: number[] = [];
  readonly siteLon: number[] = [];
  readonly known = new KnownLatencies();
  /** By place: a circle that no site of it has ever been outside; radius -1 as long as there was no site. */
  readonly #centre: Point[] = [];
  readonly #radiusKm: number[] = [];

  get placeCount(): number {
    return this.#places.size;
  }

  /** `at`: where its first node is. */
  place(country: string, region: string, at: Point | null): number {
    const place = this.#places.id(`${country}\n${region}`);
    if (place === this.placeCountry.length) {
      const id = this.countries.id(country);
      this.placeCountry.push(id);
      this.placeRegion.push(region);
      this.#radiusKm.push(-1);
      this.order.push(areaOf(at) * 2 ** 32 + place);
      const places = this.placesOfCountry[id] ?? [];
      places.push(place);
      this.placesOfCountry[id] = places;
    }
    return place;
  }

  area(place: number): number {
    return Math.floor((this.order[place] as number) / 2 ** 32);
  }

  /** All places, neighbours near each other. */
  get inOrder(): readonly number[] {
    if (this.#inOrder.length !== this.placeCount) this.#sort();
    return this.#inOrder;
  }

  /** By place: where it is in `inOrder`. */
  get rank(): Int32Array {
    if (this.#inOrder.length !== this.placeCount) this.#sort();
    return this.#rank;
  }

  /** -1 for a node whose position is not known. */
  site(place: number, at: Point | null): number {
    if (at === null) return -1;
    const { latitudeDeg, longitudeDeg } = at;
    const site = this.#sites.id(`${latitudeDeg},${longitudeDeg}`);
    if (site === this.siteLat.length) {
      this.siteLat.push(latitudeDeg);
      this.siteLon.push(longitudeDeg);
    }
    const centre = this.#centre[place];
    if (centre === undefined) {
      this.#centre[place] = { latitudeDeg, longitudeDeg };
      this.#radiusKm[place] = 0;
    } else {
      const km = distanceKm(centre.latitudeDeg, centre.longitudeDeg, latitudeDeg, longitudeDeg);
      this.#radiusKm[place] = Math.max(this.#radiusKm[place] as number, km);
    }
    return site;
  }

  #sort(): void {
    const { order } = this;
    this.#inOrder = order.map((_, place) => place).sort((a, b) => (order[a] as number) - (order[b] as number));
    this.#rank = new Int32Array(order.length);
    for (const [rank, place] of this.#inOrder.entries()) this.#rank[place] = rank;
  }

  /** No site of the place is nearer than this. */
  leastLatencyMs(place: number, from: Point): number {
    const centre = this.#centre[place];
    if (centre === undefined) return Number.POSITIVE_INFINITY;
    const km = distanceKm(from.latitudeDeg, from.longitudeDeg, centre.latitudeDeg, centre.longitudeDeg);
    const radiusKm = this.#radiusKm[place] as number;
    return estimatedLatencyMs(radiusKm === 0 ? km : Math.max(0, km - radiusKm - roundingKm));
  }
}

/** Estimated round trips from one point, each worked out when it is first asked for. */
export class Latencies {
  readonly #geography: Geography;
  readonly #number: number;
  readonly from: Point;

  constructor(geography: Geography, from: Point) {
    this.#geography = geography;
    this.#number = geography.known.next();
    this.from = { ...from };
  }

  /** Of a site, in ms; infinite for -1. */
  of(site: number): number {
    if (site < 0) return Number.POSITIVE_INFINITY;
    const { known, siteLat, siteLon } = this.#geography;
    if (known.by[site] === this.#number) return known.latencyMs[site] as number;
    const { latitudeDeg, longitudeDeg } = this.from;
    const km = distanceKm(latitudeDeg, longitudeDeg, siteLat[site] as number, siteLon[site] as number);
    const latencyMs = estimatedLatencyMs(km);
    known.keep(site, this.#number, latencyMs);
    return latencyMs;
  }
}

/** By site: the latency that was worked out last, and by whom. One for all, so that a request need not make its own. */
class KnownLatencies {
  latencyMs = new Float64Array(0);
  by = new Float64Array(0);
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }

  keep(site: number, by: number, latencyMs: number): void {
    if (site >= this.by.length) {
      const length = roomFor(site + 1);
      this.latencyMs = grown(this.latencyMs, length);
      this.by = grown(this.by, length);
    }
    this.latencyMs[site] = latencyMs;
    this.by[site] = by;
  }
}

function areaOf(at: Point | null): number {
  if (at === null) return 0;
  const most = 2 ** gridBits - 1;
  const column = Math.min(most, Math.max(0, Math.floor(((at.longitudeDeg + 180) / 360) * 2 ** gridBits)));
  const row = Math.min(most, Math.max(0, Math.floor(((at.latitudeDeg + 90) / 180) * 2 ** gridBits)));
  let area = 0;
  for (let bit = 0; bit < gridBits; bit++)
    area |= (((column >> bit) & 1) << (2 * bit)) | (((row >> bit) & 1) << (2 * bit + 1));
  return area;
}
