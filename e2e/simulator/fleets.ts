/** Fleets like the one to plan for: many unlike machines, common models and countries often and rare ones rarely. */
import { accelerators, type FleetNode } from '@iocloud/control-plane/core/matching';
import type { Random } from './random.js';

export const GiB = 2 ** 30;

export interface Mix {
  countries: readonly string[];
  models: readonly (typeof accelerators)[number][];
  suppliers: number;
  /** Of a country with the given place in the list. */
  sites(place: number): number;
  /** Devices of one machine; each as likely. */
  devices: readonly number[];
  /** Who owns machines that are for nobody else. */
  owners: readonly string[];
}

const letters = 'ABCDEFGHIJKL';
const countryOf = (place: number) => `${letters[Math.floor(place / 12)]}${letters[place % 12]}`;

/** Zipf's law: one of `count`, the nth with a weight of 1/n. */
export class Zipf {
  readonly #ends: Float64Array;

  constructor(count: number) {
    this.#ends = new Float64Array(count);
    let reached = 0;
    for (let at = 0; at < count; at += 1) {
      reached += 1 / (at + 1);
      this.#ends[at] = reached;
    }
  }

  draw(random: Random): number {
    const aim = random.next() * (this.#ends[this.#ends.length - 1] as number);
    let low = 0;
    let high = this.#ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ends[middle] as number) > aim) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** All 138 countries and 40 models, machines of 8 devices on average. */
export function worldMix(owners: readonly string[]): Mix {
  return {
    countries: Array.from({ length: 138 }, (_, place) => countryOf(place)),
    models: accelerators.slice(0, 40),
    suppliers: 5_000,
    sites: place => Math.ceil(400 / (place + 1)),
    devices: [8, 8, 8, 4, 12],
    owners,
  };
}

/** A few of each, so that a small fleet has several of some. */
export function smallMix(random: Random, owners: readonly string[]): Mix {
  const first = random.integer(0, 36);
  return {
    countries: Array.from({ length: 4 }, (_, place) => countryOf(place)),
    models: accelerators.slice(first, first + random.integer(2, 5)),
    suppliers: 4,
    sites: () => 2,
    devices: [2, 4, 8, 8],
    owners,
  };
}

/** A model's usual price: 0.8 USD an hour for an A100's throughput, in proportion. */
export const usualPrice = (tflops: number | null) => Math.round(200_000 + ((tflops ?? 60) / 312) * 600_000);

export function nodeMaker(mix: Mix): (random: Random, number: number) => FleetNode {
  const anyCountry = new Zipf(mix.countries.length);
  const anyModel = new Zipf(mix.models.length);
  return (random, number) => {
    const model = mix.models[anyModel.draw(random)] as Mix['models'][number];
    const at = anyCountry.draw(random);
    const site = random.integer(0, mix.sites(at));
    const count = random.pick(mix.devices);
    return {
      nodeId: `nd_${String(number).padStart(7, '0')}` as FleetNode['nodeId'],
      ownerId: random.pick(mix.owners) as FleetNode['ownerId'],
      shared: !random.chance(0.02),
      supplierId: `su_${random.integer(0, mix.suppliers)}`,
      domain: `${mix.countries[at]}-${site}`,
      country: mix.countries[at] as string,
      region: `r${at % 12}`,
      latitudeDeg: Math.round((((at * 37) % 120) - 60 + site * 0.01) * 100) / 100,
      longitudeDeg: Math.round((((at * 71) % 340) - 170 + site * 0.01) * 100) / 100,
      cpus: count * 16,
      memoryBytes: count * 128 * GiB,
      pools: [
        { model: model.slug, count, indices: Array.from({ length: count }, (_, index) => index), simulated: true },
      ],
      interconnect: model.interconnect?.kind === 'nvlink' ? 'nvlink' : 'pcie',
      network: random.pick(['ethernet', 'ethernet', 'roce', 'infiniband']),
      connectivity: random.pick(['low', 'medium', 'high', 'ultra']),
      compliance: ['soc2', 'hipaa', 'gdpr', 'iso27001', 'e2e-encrypted'].filter(() => random.chance(0.3)),
      rayVersions: ['2.60.0', ...(random.chance(0.3) ? ['2.51.2'] : [])],
      microUsdPerGpuHour: Math.round(usualPrice(model.fp16Tflops) * (0.7 + 0.6 * random.next())),
      microUsdPerCpuHour: random.pick([0, 0, 2_000, 4_000]),
      reputation: random.integer(500, 1_001) / 1_000,
      stake: random.integer(0, 1_001) / 1_000,
      load: random.integer(0, 1_001) / 1_000,
      schedulable: true,
    };
  };
}
