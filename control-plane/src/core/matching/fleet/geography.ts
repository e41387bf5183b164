/** Where nodes are: places (a country and region) for filters, sites (coordinates) for distances. */
import { distanceKm, estimatedLatencyMs } from '../score.js';
import { Names } from './names.js';

export interface Point {
  latitudeDeg: number;
  longitudeDeg: number;
}

/** So much may rounding take off a distance. */
const roundingKm = 1e-6;

export class Geography {
  readonly countries = new Names();
  readonly #places = new Names();
  readonly placeCountry: number[] = [];
  readonly placeRegion: string[] = [];
  readonly placesOfCountry: number[][] = [];
  readonly #sites = new Names();
  readonly siteLat: number[] = [];
  readonly siteLon: number[] = [];
  /** By place: a circle that no site of it has ever been outside; radius -1 as long as there was no site. */
  readonly #centre: Point[] = [];
  readonly #radiusKm: number[] = [];

  get placeCount(): number {
    return this.#places.size;
  }

  place(country: string, region: string): number {
    const place = this.#places.id(`${country}\n${region}`);
    if (place === this.placeCountry.length) {
      const id = this.countries.id(country);
      this.placeCountry.push(id);
      this.placeRegion.push(region);
      this.#radiusKm.push(-1);
      const places = this.placesOfCountry[id] ?? [];
      places.push(place);
      this.placesOfCountry[id] = places;
    }
    return place;
  }

  /** -1 for a node whose position is not known. */
  site(place: number, latitudeDeg: number | null, longitudeDeg: number | null): number {
    if (latitudeDeg === null || longitudeDeg === null) return -1;
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

  /** No site of the place is nearer than this. */
  leastLatencyMs(place: number, from: Point): number {
    const centre = this.#centre[place];
    if (centre === undefined) return Number.POSITIVE_INFINITY;
    const km = distanceKm(from.latitudeDeg, from.longitudeDeg, centre.latitudeDeg, centre.longitudeDeg);
    return estimatedLatencyMs(Math.max(0, km - (this.#radiusKm[place] as number) - roundingKm));
  }
}

/** Estimated round trips from one point, each worked out when it is first asked for. */
export class Latencies {
  readonly #geography: Geography;
  readonly from: Point;
  #ofSite = new Float64Array(0);

  constructor(geography: Geography, from: Point) {
    this.#geography = geography;
    this.from = { ...from };
  }

  /** Of a site, in ms; infinite for -1. */
  of(site: number): number {
    if (site < 0) return Number.POSITIVE_INFINITY;
    if (site >= this.#ofSite.length) {
      const larger = new Float64Array(this.#geography.siteLat.length).fill(-1);
      larger.set(this.#ofSite);
      this.#ofSite = larger;
    }
    const known = this.#ofSite[site] as number;
    if (known >= 0) return known;
    const lat = this.#geography.siteLat[site] as number;
    const lon = this.#geography.siteLon[site] as number;
    const latencyMs = estimatedLatencyMs(distanceKm(this.from.latitudeDeg, this.from.longitudeDeg, lat, lon));
    this.#ofSite[site] = latencyMs;
    return latencyMs;
  }
}
