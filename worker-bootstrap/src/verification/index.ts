/** The machine's side of a proof: the program that does the work on a device, and the conversation about it. */
export { type ProofPrograms, programFor } from './program.js';
export { serveProof } from './serve-proof.js';
