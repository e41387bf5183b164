/** Shells, commands, file transfers and forwards inside the leases of this machine. */
export { type Entrance, Shells } from './shells.js';
