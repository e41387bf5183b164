/** A Solana of one process with real programs, and settlement on it: for tests here and end to end. */
export { codeOf, stepAt } from '../totp.js';
export { SettlementGround } from './settlement-ground.js';
export { SvmChain } from './svm-chain.js';
export { SvmRpc } from './svm-rpc.js';
export { type Token, TokenIssuer } from './token-issuer.js';
