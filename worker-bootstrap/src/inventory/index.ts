/** What the machine offers, and its pulse. */
export { detectDevices } from './detect-devices.js';
export { diskFreeBytes, memoryAvailableBytes, memoryLimitBytes, takeInventory } from './machine.js';
