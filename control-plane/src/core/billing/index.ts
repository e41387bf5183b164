/** Fees, charges and double entry: what usage comes to, as entries that balance. */
export { type Charge, chargeOf, type Fees, type Usage } from './charge.js';
export {
  type Account,
  available,
  balanced,
  type Entry,
  earnings,
  escrow,
  moved,
  nameOf,
  ofNetwork,
  payout,
} from './entries.js';
export {
  creditEntries,
  type HoldTerms,
  holdEntries,
  releaseEntries,
  reversalEntries,
  settlementEntries,
} from './postings.js';
export { parseRatio, type Ratio } from './ratio.js';
