/** The peer of the placement benchmark: a decision by looking at every node, over arrays of numbers, with our score. */
import { accelerators, type FleetNode, type PlacementRequest } from '@iocloud/control-plane/core/matching';

const bits = (list: readonly string[], names: readonly string[]) =>
  list.reduce((word, name) => word | (1 << names.indexOf(name)), 0);
const certificates = ['soc2', 'hipaa', 'gdpr', 'iso27001', 'e2e-encrypted'];
const tiers = ['low', 'medium', 'high', 'ultra'];

export class Scan {
  readonly #count: number;
  readonly #model: Int32Array;
  readonly #country: Int32Array;
  readonly #countries: string[] = [];
  readonly #traits: Int32Array;
  readonly #tier: Int32Array;
  readonly #free: Int32Array;
  readonly #cpus: Int32Array;
  readonly #usable: Uint8Array;
  readonly #gpuPrice: Float64Array;
  readonly #cpuPrice: Float64Array;
  readonly #quality: Float64Array;

  constructor(nodes: FleetNode[]) {
    this.#count = nodes.length;
    const countryIds = new Map<string, number>();
    const column = (of: (node: FleetNode) => number) => Int32Array.from(nodes, of);
    this.#model = column(node => accelerators.findIndex(model => model.slug === node.pools[0]?.model));
    this.#country = column(node => {
      const id = countryIds.get(node.country) ?? countryIds.size;
      countryIds.set(node.country, id);
      this.#countries[id] = node.country;
      return id;
    });
    this.#traits = column(node => bits(node.compliance, certificates));
    this.#tier = column(node => tiers.indexOf(node.connectivity));
    this.#free = column(node => node.pools[0]?.count ?? 0);
    this.#cpus = column(node => node.cpus);
    this.#usable = Uint8Array.from(nodes, node => (node.shared && node.schedulable ? 1 : 0));
    this.#gpuPrice = Float64Array.from(nodes, node => node.microUsdPerGpuHour);
    this.#cpuPrice = Float64Array.from(nodes, node => node.microUsdPerCpuHour);
    this.#quality = Float64Array.from(nodes, node => node.reputation + node.stake + 1 - node.load);
  }

  /** The best node for one worker of the first group; -1 for none. Latency is left out, which is to the scan's advantage. */
  best(request: PlacementRequest): number {
    const group = request.groups[0];
    if (!group) return -1;
    const want = group.accelerator;
    const speeds = accelerators.map(model =>
      (want?.models?.includes(model.slug) ?? true) &&
      (want?.vendors?.includes(model.vendor) ?? true) &&
      (model.memoryBytes ?? 0) >= (want?.minMemoryBytes ?? 0)
        ? (model.fp16Tflops ?? 0) / ((model.fp16Tflops ?? 0) + 312)
        : -1,
    );
    const { countries, excludeCountries } = request.where;
    const allowed = this.#countries.map(
      name => (countries?.includes(name) ?? true) && !(excludeCountries?.includes(name) ?? false),
    );
    const traits = bits(request.compliance, certificates);
    const tier = request.minConnectivity === null ? 0 : tiers.indexOf(request.minConnectivity);
    const ceiling = request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
    const { price: priceWeight, speed: speedWeight, reputation: qualityWeight } = request.weights;
    let best = -1;
    let bestScore = -1;
    for (let at = 0; at < this.#count; at++) {
      const speed = speeds[this.#model[at] as number] as number;
      if (speed < 0 || this.#usable[at] === 0 || (this.#free[at] as number) < group.devices) continue;
      if (!allowed[this.#country[at] as number] || ((this.#traits[at] as number) & traits) !== traits) continue;
      if ((this.#tier[at] as number) < tier || (this.#cpus[at] as number) < group.cpus) continue;
      const price = group.devices * (this.#gpuPrice[at] as number) + group.cpus * (this.#cpuPrice[at] as number);
      if (price > ceiling) continue;
      const score =
        (priceWeight * 1e6) / (1e6 + price / group.devices) +
        speedWeight * speed +
        qualityWeight * (this.#quality[at] as number);
      if (score > bestScore) {
        best = at;
        bestScore = score;
      }
    }
    return best;
  }
}
