/** The charges of a tenant that come on the invoice of a month, as entries on lines. Of a million only the lines are kept. */
import type { InvoiceKind, TenantId } from '@iocloud/contracts';
import {
  beginOf,
  type Charge,
  type Entry,
  endOf,
  entriesOf,
  invoicedIn,
  type Line,
  LineBook,
  type Month,
  type UsagePart,
} from '../core/invoicing/index.js';
import { type ChargeSide, chargesAfter, type LedgerCharge } from '../ledger/index.js';
import type { Queryable, Transaction } from '../platform/index.js';
import { freeUsage, partsOf } from './usage.js';

export interface Wanted {
  tenantId: TenantId;
  kind: InvoiceKind;
  month: Month;
  /** Null: no month has been closed yet. */
  firstOpen: Month | null;
  /** All charges that are on no invoice come after this transaction. */
  afterId: number;
}

export type PlacedEntry = Entry & { line: number };

export const sideOf = (kind: InvoiceKind): ChargeSide => (kind === 'invoice' ? 'renter' : 'supplier');

const atOnce = 5_000;

export async function gather(
  tx: Transaction,
  wanted: Wanted,
  onEntries: (entries: PlacedEntry[]) => Promise<void>,
): Promise<Line[]> {
  const book = new LineBook();
  const beginMs = beginOf(wanted.month);
  const place = async (charges: readonly Charge[]) => {
    const entries = charges.flatMap(charge => entriesOf(charge, beginMs));
    if (entries.length > 0) await onEntries(entries.map(entry => ({ ...entry, line: book.add(entry) })));
  };
  const pages = chargesAfter(tx, wanted.tenantId, sideOf(wanted.kind), wanted.afterId, atOnce);
  for await (const page of pages) await place(await openCharges(tx, wanted, page));
  // What costs nothing is told beside what costs something, and makes no invoice by itself.
  if (wanted.kind === 'invoice' && book.lines().length > 0) await placeFree(tx, wanted, place);
  return book.lines();
}

async function openCharges(db: Queryable, wanted: Wanted, page: readonly LedgerCharge[]): Promise<Charge[]> {
  const ids = page.map(({ transactionId }) => transactionId);
  const entered = await enteredOf(db, wanted, ids);
  const parts = await partsOf(
    db,
    page.map(({ transactionId, reverses }) => reverses ?? transactionId),
  );
  return page
    .filter(({ transactionId }) => !entered.has(transactionId))
    .map(charge => toCharge(charge, parts.get(charge.reverses ?? charge.transactionId) ?? []))
    .filter(charge => invoicedIn(charge, wanted.firstOpen) === wanted.month);
}

function toCharge(charge: LedgerCharge, of: readonly UsagePart[]): Charge {
  const { transactionId, kind, at, asset, amount, fee, costMicroUsd, memo } = charge;
  // Taken back is what was billed; that it was held stays true.
  const parts =
    kind === 'reversal'
      ? of.map(part => ({ ...part, costMicroUsd: -part.costMicroUsd, heldMs: 0n, billedMs: -part.billedMs }))
      : of;
  const note = of.length > 0 && kind !== 'reversal' ? '' : memo;
  return { transactionId, kind, atMs: at.getTime(), asset, amount, fee, costMicroUsd, note, parts };
}

async function placeFree(
  tx: Transaction,
  { tenantId, month }: Wanted,
  place: (charges: Charge[]) => Promise<void>,
): Promise<void> {
  const from = new Date(beginOf(month));
  const until = new Date(endOf(month));
  for await (const page of freeUsage(tx, tenantId, from, until, atOnce)) {
    await place(
      page.map(({ part, reason }) => ({
        transactionId: null,
        kind: 'free',
        atMs: part.windowStartMs,
        asset: null,
        amount: 0n,
        fee: 0n,
        costMicroUsd: 0n,
        note: reason,
        parts: [part],
      })),
    );
  }
}

async function enteredOf(
  db: Queryable,
  { tenantId, kind }: Pick<Wanted, 'tenantId' | 'kind'>,
  transactionIds: readonly number[],
): Promise<Set<number>> {
  const { rows } = await db.query<{ id: number }>(
    `SELECT DISTINCT transaction_id AS id FROM invoice_entries
     WHERE transaction_id = ANY ($1) AND tenant_id = $2 AND kind = $3`,
    [transactionIds, tenantId, kind],
  );
  return new Set(rows.map(({ id }) => id));
}
