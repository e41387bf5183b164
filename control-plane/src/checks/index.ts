/** Has the checkers of the books run again and again, by one replica, and keeps what they found for metrics. */
export { type Checker, checkState, checkSweep } from './sweep.js';
