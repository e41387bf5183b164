/** Everything that crosses a process boundary, written once: types, validation, OpenAPI and clients derive from it. */
export * from './accounts.js';
export * from './agent-protocol.js';
export * from './amounts.js';
export * from './api.js';
export * from './clusters.js';
export * from './events.js';
export * from './explain.js';
export * from './ids.js';
export * from './io-metadata.js';
export * from './jobs.js';
export * from './nodes.js';
export * from './openapi.js';
export * from './permissions.js';
export * from './problem.js';
export * from './requirements.js';
export * from './resources.js';
