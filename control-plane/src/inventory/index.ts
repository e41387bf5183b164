/** Machines: enrolment, the agents' connections, what each machine offers, streams to it. */
export {
  type AttendedMachine,
  attendedMachines,
  enrolAttended,
  followCordon,
  removeAttended,
} from './attended.js';
export { normalisePublicKey } from './device-key.js';
export { evidenceSweep, foldEvidence, recordEvidence } from './evidence.js';
export { Inventory } from './inventory.js';
export { measuringSweep } from './measuring.js';
export { meteredMachines } from './metered.js';
export { nodeState } from './metrics.js';
export { pricedMachines } from './offered.js';
export {
  type Attendant,
  type Attended,
  type LeaseBook,
  type Machine,
  type Machines,
  type Reputation,
  StreamRefused,
} from './ports.js';
export { enrol, nodeRoutes } from './routes.js';
export type { RenterDoor } from './ssh-server.js';
export { stakedMachines } from './staked.js';
export { ensureNode, getNode } from './store.js';
export { telemetrySweep } from './telemetry.js';
