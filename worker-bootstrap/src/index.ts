/**
 * The agent: one process per machine, `node worker-bootstrap/dist/main.js --config FILE`. Other packages write its
 * configuration and make its device key; they do not run it in their own process.
 */
export { type AgentConfig, type AgentConfigInput, agentConfig, ConfigFault, parseConfig } from './config.js';
export { createDeviceKey } from './device-key.js';
