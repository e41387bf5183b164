/** How bytes travel between control plane and agent. */
export * from './byte-reader.js';
export * from './channel-stream.js';
export * from './datagrams.js';
export * from './ed25519-seed.js';
export * from './frames.js';
export * from './lines.js';
export * from './release-trust.js';
export * from './settlement-keystore.js';
export * from './socket-stream.js';
export * from './ssh-key.js';
export * from './ssh-signature.js';
