/** Which machine carries which Ray nodes: pure, deterministic, with the reasons in words where none can. */
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
export { type Evidence, reputation, type Standing, unknown, withEvidence } from './reputation.js';
