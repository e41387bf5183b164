/** Challenges by which devices prove what they are, what follows from their verdicts, and appeals. */
export { challengeSweep } from './challenges.js';
export { applyPolicy } from './eligibility.js';
export { verificationState } from './metrics.js';
export { tokenProofs } from './proofs.js';
export { verificationRoutes } from './routes.js';
export { sha256 } from './sha256.js';
