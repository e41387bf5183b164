/** Accounts, transactions and postings: the only code that writes them. docs/billing.md has the rules. */

export {
  type ChainDeposit,
  finishPayouts,
  heldOnChain,
  type PayoutTerms,
  payableBalance,
  postDeposits,
  reservePayout,
  returnPayout,
} from './chain.js';
export {
  type ChargeSide,
  chargedTenants,
  chargeSums,
  chargesAfter,
  firstPostedAt,
  type LedgerCharge,
  lastIdBefore,
  lastTransactionId,
} from './charges.js';
export { checkLedger } from './check.js';
export { availableOf, closeHold, type HoldState, lockPurse, openHold, readHolds, topUpHolds } from './holds.js';
export { ledgerState } from './metrics.js';
export { type LedgerPorts, ledgerRoutes } from './routes.js';
export { listTransactionsOf } from './statement.js';
export { postTokens, type TokenPosting, tokenSums } from './tokens.js';
export { settleUsage, type UsageItem, type UsagePosted } from './usage.js';
export { type PostedSum, postingsOf, usageWithoutCharge } from './usage-postings.js';
