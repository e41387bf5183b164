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
export { coveredCost, type Exposure, lastsMs, type Need, needOf, unitsFor } from './escrow.js';
export {
  creditEntries,
  type HoldTerms,
  holdEntries,
  releaseEntries,
  reversalEntries,
  settlementEntries,
} from './postings.js';
export { parseRatio, type Ratio } from './ratio.js';
export {
  type CapsLeft,
  capEnd,
  lowerOf,
  type OrderState,
  type PaidUntil,
  type TenantState,
  type Tending,
  tend,
} from './tending.js';
export {
  burnSlashedEntries,
  cooledEntries,
  emissionEntries,
  iosdEntries,
  type SlashedAmount,
  slashEntries,
  stakeEntries,
  type TenantAmount,
  unslashEntries,
  unstakeEntries,
} from './token-entries.js';
export {
  feesInWords,
  noShortfall,
  type Purses,
  parseFees,
  type Shortfall,
  type UsageStep,
  type UsageTerms,
  usageCost,
  usageEntries,
} from './usage.js';
