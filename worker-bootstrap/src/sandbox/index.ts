/** How Ray nodes are kept apart from the machine: namespaces where they can be had, tokens alone elsewhere. */
export { networkName, runtimeDirectory, Sandbox } from './sandbox.js';
