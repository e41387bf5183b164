/** The Ray nodes of this machine: desired leases made real, watched, and ended without a trace. */
export { uptimeSeconds } from './fence.js';
export { Leases } from './leases.js';
export type { ProcessIdentity } from './processes.js';
