/** Driver logs: copied once, kept, read and followed. */
export { LogCopier, type LogSource } from './copier.js';
export { LogTails } from './routes.js';
