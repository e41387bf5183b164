/** The Ray nodes of this machine: desired leases made real, watched, and ended without a trace. */
export { uptimeSeconds } from './fence.js';
export { Leases } from './leases.js';
export { identityOf, isAlive, type ProcessIdentity } from './processes.js';
