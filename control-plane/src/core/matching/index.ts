/**
 * Which machine carries which Ray nodes: pure, deterministic, with the reasons in words where none can. `place.ts` fits one
 * cluster on one machine; `Fleet` finds the best places among very many.
 */
export { acceleratorOf, classify, type Resolved, resolve } from './accelerator-lookup.js';
export { type Accelerator, accelerators } from './accelerators.js';
export { bestOf, connectivityOf, enough } from './connectivity.js';
export {
  fleetNodeOf,
  fleetOf,
  type MachineFacts,
  meets,
  modelOf,
  modelsOf,
  priceOf,
  recognised,
  refusalInWords,
  requestOf,
  restricted,
} from './demand.js';
export type { Explanation } from './explain.js';
export * from './fleet/types.js';
export { Fleet } from './fleet.js';
export { type Ask, MachineIndex } from './machine-index.js';
export { type Candidate, makeRoom, type Occupant } from './make-room.js';
export {
  type Assignment,
  defaultMemoryFloorBytes,
  empty,
  type Offer,
  type Placement,
  placeEach,
  placeTogether,
  type Use,
  type Want,
} from './place.js';
export { rayLabelsOf, requirementsOfLabels, withLabels } from './ray-labels.js';
export {
  type Evidence,
  machineReputation,
  reputation,
  type Standing,
  unknown,
  withEvidence,
  withOneVoice,
} from './reputation.js';
export { defaultFitWeight, estimatedLatencyMs, evenWeights } from './score.js';
export { type Need, suitable, suitableIfEmpty } from './suitable.js';
