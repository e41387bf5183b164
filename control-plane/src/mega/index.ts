/** Mega-Ray clusters: many clusters alike behind one name, one Jobs address and one index of dashboards. */
export { createMega, type MegaDomain, type MegaWiring } from './domain.js';
