/** Accounts, transactions and postings: the only code that writes them. docs/billing.md has the rules. */
export { type LedgerPorts, ledgerRoutes } from './routes.js';
export { postTokens, type TokenPosting, tokenSums } from './tokens.js';
