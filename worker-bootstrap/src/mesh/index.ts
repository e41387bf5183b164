/** The network between a cluster's machines: WireGuard interfaces in its namespaces, directly or through relays. */
export { socketDirectory } from './device.js';
export { Mesh } from './mesh.js';
