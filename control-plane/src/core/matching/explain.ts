import type { Latencies } from './fleet/geography.js';
import type { Inventory } from './fleet/inventory.js';
import type { PlacementRequest } from './fleet/types.js';

export interface Explanation {
  satisfiable: boolean;
}
export function explain(
  _fleet: unknown,
  _inventory: Inventory,
  _request: PlacementRequest,
  _latenciesFrom: (point: { latitudeDeg: number; longitudeDeg: number }) => Latencies,
): Explanation {
  return { satisfiable: true };
}
