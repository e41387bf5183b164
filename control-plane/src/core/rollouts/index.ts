/** How a release comes to a fleet: by waves that grow with trust, and no further than it is trusted. Pure. */
export { type RolloutEvent, rolloutTransitions } from './life.js';
export { type FleetNode, nextStep, type Step } from './next-step.js';
