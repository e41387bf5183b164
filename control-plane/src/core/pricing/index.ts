/** What an accelerator costs for an hour, by supply and demand: pure, whole micro-USD. The formula is in docs/pricing.md. */
export { type Factor, type Offering, type Order, offeringFactors, orderFactors, priced } from './factors.js';
export { agreement, type Guards, ioUnitsOf, parseRate, type Reading, rateInWords, readRate } from './io-rate.js';
export { aimOf, type Curve, nextPrice, type Use, utilisationPpm } from './market.js';
export { type Estimate, estimates, type MarketPrice, totals } from './quote.js';
export { defaultTerms, type PricingTerms, termsFault } from './terms.js';
