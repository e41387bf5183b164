/** Ray clusters: what each shall be, where it runs, how its head is reached, its dashboard behind our login. */
export { type LoginWiring, loginLink, openSession } from './dashboard/index.js';
export { type ClusterDomain, type ClusterWiring, createClusters } from './domain.js';
export { type Entrance, entrances } from './entrances.js';
export { pricedLeases } from './held.js';
export { type LeaseFacts, leaseFacts } from './lease-facts.js';
export { meteredLeases } from './metered.js';
export { clusterState } from './metrics.js';
export {
  type Capacity,
  type Cells,
  type CellView,
  type ClusterActivity,
  type Clusters,
  type ClusterView,
  HeadUnavailable,
  type PlacedSpec,
} from './ports.js';
