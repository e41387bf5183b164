/** The network between a cluster's machines: members, keys, addresses, where each may be reached, and relaying over streams. */

export { createMesh, type MeshDomain, networksOf } from './book.js';
export { meshState } from './metrics.js';
export type { MeshBook, Seats } from './ports.js';
