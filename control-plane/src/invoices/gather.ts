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
import type { Queryable } from '../platform/index.js';
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
  db: Queryable,
  wanted: Wanted,
  onEntries: (entries: PlacedEntry[]) => Promise<void>,
): Promise<Line[]> {
  const book = new LineBook();
  const beginMs = beginOf(wanted.month);
  const place = async (charges: readonly Charge[]) => {
    const entries = charges.flatMap(charge => entriesOf(charge, beginMs));
    if (entries.length > 0) await onEntries(entries.map(entry => ({ ...entry, line: book.add(entry) })));
  };
  for (let after = wanted.afterId; ; ) {
    const page = await chargesAfter(db, wanted.tenantId, sideOf(wanted.kind), after, atOnce);
    await place(await openCharges(db, wanted, page));
    if (page.length < atOnce) break;
    after = page.at(-1)?.transactionId ?? after;
  }
  // What costs nothing is told beside what costs something, and makes no invoice by itself.
  if (wanted.kind === 'invoice' && book.lines().length > 0) await placeFree(db, wanted, place);
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
  db: Queryable,
  { tenantId, month }: Wanted,
  place: (charges: Charge[]) => Promise<void>,
): Promise<void> {
  const from = new Date(beginOf(month));
  const until = new Date(endOf(month));
  for (let after = 0; ; ) {
    const page = await freeUsage(db, tenantId, from, until, after, atOnce);
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
    if (page.length < atOnce) return;
    after = page.at(-1)?.part.usageLineId ?? after;
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
