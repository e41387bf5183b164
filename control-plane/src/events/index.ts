/** The tenant's history: written with the change that it tells of, read as a list or as server-sent events. */
export { eventRoutes } from './routes.js';
export { type EventRecord, lastSequence, latestOfAll, readEvents, recordEvent, recordEvents } from './store.js';
