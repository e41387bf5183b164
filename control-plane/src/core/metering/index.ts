/** From counters and what is on record to the usage of fixed windows of time. docs/metering.md has the rules. */
export { type Held, heldOf, heldUntil, type LeaseRecord, type Patience, type Presence } from './availability.js';
export { acrossRuns, type Curve, countedAt, curveOf, type Life, type Sample } from './curve.js';
export { type Run, sharesOf } from './shares.js';
export type { Span } from './spans.js';
export { type Counters, type Told, usageOf } from './usage.js';
export {
  type Amounts,
  type Booked,
  combine,
  linesFor,
  type NewLine,
  nothing,
  windowStart,
  windowsIn,
} from './windows.js';
