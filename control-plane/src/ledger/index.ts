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
export { type LedgerPorts, ledgerRoutes } from './routes.js';
