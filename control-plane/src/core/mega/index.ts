/** Mega-Ray clusters, pure: the life of one as a table, and from the cells that are there to what is done next. */
export { type MegaEvent, megaEvent, megaTransitions } from './life.js';
export { type Cell, type Departure, type MegaPlan, type MegaWish, planCells } from './plan.js';
