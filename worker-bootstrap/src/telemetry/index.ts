/** What the machine and its devices are doing: read, kept until it is on record. */
export { Telemetry } from './telemetry.js';
