/** Settlement on the chain, the part that decides: lives of payouts, batches, fees, outcomes, differences. */
export { batchesOf, mostSweeps, mostTransfers, type Payable } from './batches.js';
export { type Change, changesOf, creditsNow, type TokenBalance } from './deposit-changes.js';
export { type Cost, computeUnits, type FeeTerms, mostLamports, priorityPrice } from './fees.js';
export { type Outcome, outcomeOf, type Seen } from './outcome.js';
export {
  afterPayoutEvent,
  moneyOf,
  type PayoutEvent,
  type PayoutState,
  payoutStates,
  payoutTransitions,
  spendsLimit,
} from './payout-life.js';
export { differenceOf, type Position } from './reconcile.js';
