/** Usage becomes money: orders and their holds, charges, refunds, caps and orderly suspension. docs/billing.md has the rules. */
export { checkUsage } from './check.js';
export { type Billing, type BillingWiring, createBilling } from './domain.js';
export { billingState } from './metrics.js';
export { paidUntil } from './orders.js';
export { type Cover, type CoverWanted, freeOfCharge, type Orders } from './ports.js';
