/** What an IO token is worth in USD: sources, their agreement, the last good value. */
export { ioRate, look, type Oracle, oracleSweep, usableRate } from './oracle.js';
export { type Source, type SourceConfig, sourceOf, sourceSchema } from './sources.js';
