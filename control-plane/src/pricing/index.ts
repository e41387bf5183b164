/** Market prices of accelerators: terms, a version for each hour, what machines cost by it. */
export { applyTerms, pricingSweep } from './hours.js';
export { ioRate, oracleSweep, sourceOf, usableRate } from './io-rate/index.js';
export { type Market, marketBasisOf, marketOf, marketPriceOf } from './market.js';
export type { PriceBasis, PricedLeases, PricedMachines } from './ports.js';
export { priceRoutes } from './routes.js';
export { versionsById } from './store.js';
export { loadPricing } from './terms-file.js';
