/** Accounts, transactions and postings: the only code that writes them. docs/billing.md has the rules. */
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
export { type LedgerPorts, ledgerRoutes } from './routes.js';
export { listTransactionsOf } from './statement.js';
