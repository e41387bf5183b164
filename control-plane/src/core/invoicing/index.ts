/** Invoices: charges of the ledger, shared out over usage, gathered into lines; months; CSV. */
export {
  type Charge,
  dueMs,
  type Entry,
  entriesOf,
  invoicedIn,
  type LineKind,
  shared,
  type UsagePart,
} from './charge.js';
export { csvRecord } from './csv.js';
export { gpuMsHeld } from './held.js';
export { type Line, LineBook, type Total, totalsOf } from './lines.js';
export { beginOf, dayOf, endOf, type Month, monthAfter, monthOf } from './months.js';
