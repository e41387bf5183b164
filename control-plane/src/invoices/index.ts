/** Invoices of renters and statements of suppliers: gathered from the ledger, closed once a month, explained line by line. */
export { checkInvoices } from './check.js';
export { type ClosingWiring, closingSweep } from './closing.js';
export { loadIssuer } from './issuer.js';
export { invoiceState } from './metrics.js';
export type { InvoicePorts } from './ports.js';
export { type InvoiceWiring, invoiceRoutes } from './routes.js';
