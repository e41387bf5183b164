/** A pool as a candidate, with the parts that make its score. */
import type { NodeId } from '@iocloud/contracts';
import { placePart, pricePart } from '../score.js';
import { cpuPriceAt, gpuPriceAt, loadAt, reputationAt, stakeAt } from './figures.js';
import { capacity } from './gang.js';
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import { cpuFit, deviceFit } from './search.js';
import type { FleetCandidate } from './types.js';

export function describe(inventory: Inventory, query: GroupQuery, pool: number, score: number): FleetCandidate {
  const { pools, models } = inventory;
  const slot = pools.node(pool);
  const price = workerPrice(query, inventory.figures.get(slot, gpuPriceAt), inventory.figures.get(slot, cpuPriceAt));
  const estimated = query.area.latencies?.of(inventory.site[slot] as number) ?? null;
  const latencyMs = estimated === Number.POSITIVE_INFINITY ? null : estimated;
  return {
    group: query.group.name,
    nodeId: inventory.ids[slot] as NodeId,
    model: models.slug(pools.model(pool)),
    score,
    parts: {
      price: pricePart(price, query.priceReference),
      speed: models.list[pools.model(pool)]?.speed ?? 0,
      place: query.area.latencies === null ? 1 : latencyMs === null ? 0 : placePart(latencyMs),
      reputation: inventory.figures.get(slot, reputationAt),
      stake: inventory.figures.get(slot, stakeAt),
      load: 1 - inventory.figures.get(slot, loadAt),
      fit: query.units > 0 ? deviceFit(inventory, query, pool) : cpuFit(inventory, query, slot),
    },
    microUsdPerHour: price,
    workers: Math.min(capacity(inventory, query, pool), query.group.workers),
    latencyMs,
  };
}
