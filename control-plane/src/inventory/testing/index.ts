export { insertScrapedFleet } from './fleet.js';
