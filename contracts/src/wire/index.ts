/** How bytes travel between control plane and agent. */
export * from './channel-stream.js';
export * from './lines.js';
export * from './ssh-key.js';
