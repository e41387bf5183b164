/** The outbound SSH connection: dialling, control messages, streams. */
export { backoffMs, refusedDelayMs } from './backoff.js';
export { type Address, Connection } from './connection.js';
export { carryPort, StreamFault, type StreamSources, serveStream } from './streams.js';
