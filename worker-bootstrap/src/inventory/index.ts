/** What the machine offers, and its pulse. */
export { diskFreeBytes, memoryAvailableBytes, takeInventory } from './machine.js';
