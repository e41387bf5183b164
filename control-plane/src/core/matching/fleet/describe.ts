/** A pool as a candidate, with the parts that make its score. */
import type { NodeId } from '@iocloud/contracts';
import { placePart, pricePart } from '../score.js';
import { capacity } from './gang.js';
import type { Inventory } from './inventory.js';
import { type GroupQuery, workerPrice } from './query.js';
import { cpuFit, deviceFit } from './search.js';
import type { FleetCandidate } from './types.js';

export function describe(inventory: Inventory, query: GroupQuery, pool: number, score: number): FleetCandidate {
  const { pools, models } = inventory;
  const slot = pools.node[pool] as number;
  const price = workerPrice(query, inventory.gpuPrice[slot] as number, inventory.cpuPrice[slot] as number);
  const estimated = query.area.latencies?.of(inventory.site[slot] as number) ?? null;
  const latencyMs = estimated === Number.POSITIVE_INFINITY ? null : estimated;
  return {
    group: query.group.name,
    nodeId: inventory.ids[slot] as NodeId,
    model: models.slug(pools.model[pool] as number),
    score,
    parts: {
      price: pricePart(price, query.priceReference),
      speed: models.list[pools.model[pool] as number]?.speed ?? 0,
      place: query.area.latencies === null ? 1 : latencyMs === null ? 0 : placePart(latencyMs),
      reputation: inventory.reputation[slot] as number,
      stake: inventory.stake[slot] as number,
      load: 1 - (inventory.load[slot] as number),
      fit: query.units > 0 ? deviceFit(inventory, query, pool) : cpuFit(inventory, query, slot),
    },
    microUsdPerHour: price,
    workers: Math.min(capacity(inventory, query, pool), query.group.workers),
    latencyMs,
  };
}
