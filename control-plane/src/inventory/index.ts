/** Machines: enrolment, the agents' connections, what each machine offers, streams to it. */
export { Inventory } from './inventory.js';
export { type LeaseBook, type Machine, type Machines, type Reputation, StreamRefused } from './ports.js';
export { recordEvidence } from './reputation.js';
export { nodeRoutes } from './routes.js';
export { ensureNode } from './store.js';
