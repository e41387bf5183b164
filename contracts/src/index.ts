/** Everything that crosses a process boundary, written once: types, validation, OpenAPI and clients derive from it. */
export * from './accounts.js';
export * from './agent-protocol.js';
export * from './api.js';
export * from './clusters.js';
export * from './events.js';
export * from './fencing.js';
export * from './ids.js';
export * from './jobs.js';
export * from './load.js';
export * from './nodes.js';
export * from './openapi.js';
export * from './permissions.js';
export * from './problem.js';
export * from './resources.js';
export * from './retry-policy.js';
