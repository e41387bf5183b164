/**
 * Closing a month, once for each tenant, by one replica at a time. Each invoice is a transaction of its own, so it may be
 * killed anywhere: what has been closed stays, the rest is closed later, and a month counts as closed once all are.
 */
import { type InvoiceKind, type Issuer, newId, type TenantId } from '@iocloud/contracts';
import { beginOf, endOf, type Month, monthOf } from '../core/invoicing/index.js';
import { recordEvent } from '../events/index.js';
import { chargedTenants, firstPostedAt, lastIdBefore } from '../ledger/index.js';
import { type Database, type Logger, Recurring, type Transaction, takeLock } from '../platform/index.js';
import { numberInWords } from './document.js';
import { gather, type Wanted } from './gather.js';
import { placed } from './open-document.js';
import type { InvoicePorts } from './ports.js';
import { firstOpenMonth, headOfMonth, insertEntries, insertInvoice, recordMonth } from './store.js';

/** Any constant will do, as long as every replica takes the same. */
const closingLock = 7_265_110;
const lookIntervalMs = 60_000;

export interface ClosingWiring {
  database: Database;
  ports: InvoicePorts;
  issuer: Issuer;
  /** How long after its end a month is closed: until then late usage is still on its own invoice. */
  delayMs: number;
  random: (n: number) => Uint8Array;
  /** By the database's clock, which all replicas share; comes in for tests. */
  now?: (database: Database) => Promise<Date>;
}

/** Closes the first month that is over and open. False: there is none, or another replica is at it. */
export async function closeNextMonth(wiring: ClosingWiring, isStopped: () => boolean): Promise<boolean> {
  const { database } = wiring;
  const firstOpen = await firstOpenMonth(database);
  const month = firstOpen ?? (await firstMonth(database));
  if (month === null) return false;
  const now = await (wiring.now ?? databaseTime)(database);
  if (now.getTime() < endOf(month) + wiring.delayMs) return false;
  const afterId = await lastIdBefore(database, new Date(beginOf(month)));
  for (const { tenantId, side } of await chargedTenants(database, afterId)) {
    if (isStopped()) return false;
    const kind = side === 'renter' ? 'invoice' : 'statement';
    const done = await closeInvoice(wiring, { tenantId, kind, month, firstOpen: month, afterId });
    if (!done) return false;
  }
  return underLock(database, tx => recordMonth(tx, month));
}

async function firstMonth(database: Database): Promise<Month | null> {
  const at = await firstPostedAt(database);
  return at === null ? null : monthOf(at.getTime());
}

/** False: another replica is at it. */
const closeInvoice = ({ database, ports, issuer, random }: ClosingWiring, wanted: Wanted): Promise<boolean> =>
  underLock(database, async tx => {
    const { tenantId, kind, month } = wanted;
    if (await headOfMonth(tx, tenantId, kind, month)) return;
    const invoice = { id: newId('invoice', random), kind, tenantId };
    const lines = await gather(tx, wanted, entries => insertEntries(tx, invoice, entries));
    if (lines.length === 0) return;
    const tenantName = await ports.tenantName(tx, tenantId);
    const all = await placed(tx, ports, kind, lines);
    const number = await insertInvoice(tx, { ...invoice, tenantName, month, issuer }, all);
    await tell(tx, tenantId, kind, `${numberInWords(tenantId, kind, number)} for ${month} is ready (${invoice.id})`);
  });

async function underLock(database: Database, work: (tx: Transaction) => Promise<void>): Promise<boolean> {
  return database.transaction(async tx => {
    // Of one moment, while others go on posting.
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    if (!(await takeLock(tx, closingLock))) return false;
    await work(tx);
    return true;
  });
}

/** Without amounts: who may read events need not see money. */
const tell = (tx: Transaction, tenantId: TenantId, kind: InvoiceKind, message: string) =>
  recordEvent(tx, {
    tenantId,
    subjectKind: 'account',
    subject: tenantId,
    reason: kind === 'invoice' ? 'InvoiceReady' : 'StatementReady',
    message: `${kind} ${message}`,
  });

async function databaseTime(database: Database): Promise<Date> {
  const { rows } = await database.query<{ now: Date }>('SELECT now() AS now');
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}

export const closingSweep = (wiring: ClosingWiring, log: Logger): Recurring =>
  new Recurring(
    'invoice-closing',
    lookIntervalMs,
    async isStopped => {
      while (!isStopped() && (await closeNextMonth(wiring, isStopped)));
    },
    error => log.warn({ err: error }, 'the month could not be closed; again soon'),
  );
