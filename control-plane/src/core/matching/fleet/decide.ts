/** From a request to the workers' places, or to the reason why there are none: what is tried, and in which order. */
import { tryAll } from './exhaustive.js';
import { type Batch, cutIntoCells, placeAnywhere, placeCells, placeTogether } from './gang.js';
import { chainOf, type GroupQuery, priceAlone } from './query.js';
import type { Ground } from './search.js';
import { type Put, Trial } from './trial.js';
import type { PlacementRefusal, PlacementRequest, ScoreParts } from './types.js';

/** Where the best placement costs too much, the price's weight is multiplied by this, so often at most. */
const dearer = 4;
const maxDearer = 5;
/** What the price's weight is at least, as a share, when it is first multiplied. */
const leastPriceShare = 0.1;
/** All orders of so many groups are tried. */
const maxPermuted = 3;

/**
 * Ends with the fleet as it was. `keep` is called while the workers are in their places, which is when what they have is
 * known.
 */
export function decide<T>(
  ground: Ground,
  request: PlacementRequest,
  queries: GroupQuery[],
  keep: (puts: Put[], price: number) => T,
): T | PlacementRefusal {
  const trial = new Trial(ground.inventory, ground.stocks);
  try {
    const refusal = new Decision(ground, trial, request, queries).run();
    return refusal ?? keep(trial.puts, trial.price);
  } finally {
    trial.end();
  }
}

class Decision {
  readonly #ground: Ground;
  readonly #trial: Trial;
  readonly #request: PlacementRequest;
  readonly #queries: GroupQuery[];
  readonly #ceiling: number;

  constructor(ground: Ground, trial: Trial, request: PlacementRequest, queries: GroupQuery[]) {
    this.#ground = ground;
    this.#trial = trial;
    this.#request = request;
    this.#queries = [...queries].sort(hardestFirst);
    this.#ceiling = request.maxMicroUsdPerHour ?? Number.POSITIVE_INFINITY;
  }

  /** Null: the trial holds the placement. */
  run(): PlacementRefusal | null {
    const orders = permutations(this.#queries);
    const fitting = orders.find(order => this.#attempt(order));
    if (fitting !== undefined) {
      if (this.#trial.price <= this.#ceiling) return null;
      for (const share of this.#cheaperShares()) {
        if (this.#attempt(reweighted(fitting, share)) && this.#trial.price <= this.#ceiling) return null;
      }
    }
    // For several groups, price alone in any order, whether or not there was room before: a last simple way.
    for (const order of orders) {
      if (this.#attempt(reweighted(order, priceAlone)) && this.#trial.price <= this.#ceiling) return null;
    }
    this.#trial.undoTo(0);
    return this.#refuse(fitting !== undefined);
  }

  #refuse(fits: boolean): PlacementRefusal | null {
    const { cells, spread, colocate } = this.#request;
    const alone = this.#queries.length === 1;
    if (!fits) {
      const without = alone ? this.#queries[0] : this.#queries.find(query => !this.#attempt([query]));
      this.#trial.undoTo(0);
      // Greedy misses no placement of equal workers, but for cells that share what anti-affinity leaves over domains.
      const exact =
        cells === null || spread === null || spread.by === 'node' || (spread.by === 'domain' && colocate !== 'node');
      if (without !== undefined) return { refused: 'group', group: without.group.name, certain: exact };
    } else if (this.#cheapestApart() > this.#ceiling || (alone && cells === null)) {
      return { refused: 'price', group: null, certain: true };
    }
    const result =
      cells === null
        ? tryAll(this.#ground, this.#trial, this.#batches(this.#queries), { colocate, ceiling: this.#ceiling })
        : 'unknown';
    if (result === 'found') return null;
    return { refused: fits ? 'price' : 'together', group: null, certain: result === 'none' };
  }

  /** Puts all workers of these groups, whatever they cost; false, and nothing put, when greedy finds no room. */
  #attempt(queries: GroupQuery[]): boolean {
    const { cells, colocate } = this.#request;
    const trial = this.#trial;
    const ground = this.#ground;
    const batches = this.#batches(queries);
    trial.undoTo(0);
    const cheapest = queries[0]?.share === priceAlone;
    let done: boolean;
    if (cells !== null) {
      const by = colocate === 'node' ? 'node' : 'domain';
      done = placeCells(ground, trial, cutIntoCells(batches, cells.workersEach), { by, cheapest });
    } else if (colocate !== 'any') {
      done = placeTogether(ground, trial, batches, { by: colocate, cell: 0, cheapest, mayUse: () => true }) !== null;
    } else done = placeAnywhere(ground, trial, batches);
    if (!done) trial.undoTo(0);
    return done;
  }

  /** What the groups would cost if each had the fleet for itself and could lie anywhere: no placement costs less. */
  #cheapestApart(): number {
    let price = 0;
    for (const batch of this.#batches(reweighted(this.#queries, priceAlone))) {
      if (!placeAnywhere(this.#ground, this.#trial, [batch])) return Number.POSITIVE_INFINITY;
      price += this.#trial.price;
      this.#trial.undoTo(0);
    }
    return price;
  }

  #batches(queries: GroupQuery[]): Batch[] {
    return queries.map(query => ({ query, from: 0, count: query.group.workers }));
  }

  *#cheaperShares(): Generator<ScoreParts> {
    const preference = this.#queries[0]?.preference ?? priceAlone;
    let price = Math.max(preference.price, leastPriceShare);
    for (let step = 0; step < maxDearer; step++) {
      price *= dearer;
      const sum = price + 1 - preference.price;
      yield {
        price: price / sum,
        speed: preference.speed / sum,
        place: preference.place / sum,
        reputation: preference.reputation / sum,
        stake: preference.stake / sum,
        load: preference.load / sum,
        fit: preference.fit / sum,
      };
    }
  }
}

const reweighted = (queries: GroupQuery[], share: ScoreParts): GroupQuery[] =>
  queries.map(query => ({ ...query, share, chain: chainOf(share) }));

/** More devices for each worker, then fewer models to choose from, more CPUs, more memory; at last the request's order. */
const hardestFirst = (a: GroupQuery, b: GroupQuery): number =>
  b.units - a.units ||
  a.models.length - b.models.length ||
  b.cpuUnits - a.cpuUnits ||
  b.memory - a.memory ||
  a.position - b.position;

/** The order itself first. Of more groups than are permuted: it, and its reverse. */
function permutations(queries: GroupQuery[]): GroupQuery[][] {
  if (queries.length > maxPermuted) return [queries, [...queries].reverse()];
  if (queries.length <= 1) return [queries];
  return queries.flatMap((first, at) =>
    permutations(queries.filter((_, other) => other !== at)).map(rest => [first, ...rest]),
  );
}
