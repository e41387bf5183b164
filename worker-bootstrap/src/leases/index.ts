/** The Ray nodes of this machine: desired leases made real, watched, and ended without a trace. */
export { Leases } from './leases.js';
