/** Money between the ledger and Solana: deposits, pay-outs, reconciliation. docs/settlement.md has the flow and the runbook. */
export { settlementState } from './metrics.js';
export { type OpenSettlement, openSettlement } from './open.js';
