/** How Ray nodes are kept apart from the machine: containers or namespaces where they can be had, tokens alone elsewhere. */
export { type Containers, removeContainer } from './containers.js';
export { type Mount, renterId } from './engine.js';
export { type Inside, networkName, runtimeDirectory, Sandbox } from './sandbox.js';
export { makeVolume, mountVolume, unmountVolume, volumeMounts, volumeOf } from './volume.js';
