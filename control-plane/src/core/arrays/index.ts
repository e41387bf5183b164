/** Array jobs, pure: the life of an array as a table, what its indices amount to, and which of them may go. */
export {
  type ArrayEvent,
  type ArrayPhase,
  arrayInWords,
  arrayTransitions,
  countsOf,
  emptyTally,
  endedOf,
  eventOf,
  mayGo,
  type Tally,
} from './array.js';
