/**
 * Recomputes from usage what charges and postings ought to be: window by window, in one snapshot. Every line has its charge
 * or waits for it, a window costs its time at its lease's price, and its postings are that cost with its rate and fees.
 */
import type { Asset, LeaseId, TenantId } from '@iocloud/contracts';
import { chargeOf, parseFees, parseRatio, usageCost } from '../core/billing/index.js';
import { type PostedSum, postingsOf, usageWithoutCharge } from '../ledger/index.js';
import type { Queryable } from '../platform/index.js';

export interface UsageDifference {
  what: 'uncharged' | 'cost' | 'posting' | 'spending';
  subject: string;
  message: string;
}

const pageSize = 5_000;
/** More are not listed; so many are enough to see that something is wrong. */
const mostListed = 100;

export async function checkUsage(db: Queryable): Promise<UsageDifference[]> {
  const found = [...(await lostLines(db)), ...(await strayPostings(db)), ...(await wrongSpending(db))];
  let after: [string, Date] = ['', new Date(0)];
  for (;;) {
    const windows = await windowPage(db, after);
    found.push(...(await differencesOf(db, windows)));
    const last = windows.at(-1);
    if (windows.length < pageSize || !last || found.length >= mostListed) return found.slice(0, mostListed);
    after = [last.lease_id, last.window_start];
  }
}

async function lostLines(db: Queryable): Promise<UsageDifference[]> {
  const { rows } = await db.query<{ id: string; lease_id: string }>(
    `SELECT u.id::text, u.lease_id FROM usage_lines u
     WHERE NOT EXISTS (SELECT FROM usage_charges c WHERE c.usage_line_id = u.id)
       AND NOT EXISTS (SELECT FROM charges_due d WHERE d.usage_line_id = u.id) ORDER BY u.id LIMIT ${mostListed}`,
  );
  return rows.map(row => ({
    what: 'uncharged',
    subject: `usage line ${row.id}`,
    message: `of ${row.lease_id} has no charge and waits for none`,
  }));
}

async function strayPostings(db: Queryable): Promise<UsageDifference[]> {
  const strays = await usageWithoutCharge(
    db,
    'SELECT transaction_id FROM usage_charges WHERE transaction_id IS NOT NULL',
  );
  return strays.map(({ id, key }) => ({
    what: 'posting',
    subject: `transaction ${id}`,
    message: `${key} was posted without a charge`,
  }));
}

async function wrongSpending(db: Queryable): Promise<UsageDifference[]> {
  const { rows } = await db.query<{ tenant_id: string; day: string; is: string; ought: string }>(
    `SELECT coalesce(s.tenant_id, c.tenant_id) AS tenant_id, coalesce(s.day, c.day)::text AS day,
       coalesce(s.cost_micro_usd, 0)::text AS is, coalesce(c.cost, 0)::text AS ought
     FROM tenant_spending s FULL JOIN (
       SELECT l.tenant_id, (u.window_start AT TIME ZONE 'UTC')::date AS day, sum(g.cost_micro_usd) AS cost
       FROM usage_charges g JOIN usage_lines u ON u.id = g.usage_line_id JOIN leases l ON l.id = u.lease_id
       WHERE g.asset IS NOT NULL GROUP BY 1, 2) c ON c.tenant_id = s.tenant_id AND c.day = s.day
     WHERE coalesce(s.cost_micro_usd, 0) <> coalesce(c.cost, 0) LIMIT ${mostListed}`,
  );
  return rows.map(({ tenant_id, day, is, ought }) => ({
    what: 'spending',
    subject: `${tenant_id} on ${day}`,
    message: `is on record with ${is} micro-USD, and charges sum to ${ought}`,
  }));
}

interface WindowRow {
  lease_id: LeaseId;
  window_start: Date;
  ms: string;
  cost: string;
  price: string;
  is_own: boolean;
  ordered: boolean;
  assets: (Asset | null)[];
  rates: (string | null)[];
  fees: (string | null)[];
  renter_short: string;
  supplier_short: string;
  transactions: string[];
  renter: TenantId;
  supplier: TenantId;
}

/** Those with a charge, by lease and time. */
async function windowPage(db: Queryable, [leaseId, start]: [string, Date]): Promise<WindowRow[]> {
  const { rows } = await db.query<WindowRow>(
    `WITH page AS (
       SELECT u.lease_id, u.window_start, sum(u.billable_ms) AS ms, sum(c.cost_micro_usd) AS cost,
         array_agg(DISTINCT c.asset) AS assets, array_agg(DISTINCT c.usd_per_io) AS rates,
         array_agg(DISTINCT c.fees_ppm) AS fees, sum(c.renter_short) AS renter_short,
         sum(c.supplier_short) AS supplier_short,
         coalesce(array_agg(c.transaction_id::text) FILTER (WHERE c.transaction_id IS NOT NULL), '{}') AS transactions
       FROM usage_lines u JOIN usage_charges c ON c.usage_line_id = u.id
       WHERE (u.lease_id, u.window_start) > ($1, $2)
       GROUP BY u.lease_id, u.window_start ORDER BY u.lease_id, u.window_start LIMIT ${pageSize})
     SELECT p.lease_id, p.window_start, p.ms::text, p.cost::text, p.assets, p.rates, p.fees, p.renter_short::text,
       p.supplier_short::text, p.transactions, l.micro_usd_per_hour::text AS price, l.tenant_id AS renter,
       n.tenant_id AS supplier, l.tenant_id = n.tenant_id AS is_own, l.order_id IS NOT NULL AS ordered
     FROM page p JOIN leases l ON l.id = p.lease_id JOIN nodes n ON n.id = l.node_id
     ORDER BY p.lease_id, p.window_start`,
    [leaseId, start],
  );
  return rows;
}

async function differencesOf(db: Queryable, windows: readonly WindowRow[]): Promise<UsageDifference[]> {
  const ids = windows.flatMap(({ transactions }) => transactions.map(Number));
  const byTransaction = new Map<number, PostedSum[]>();
  for (const sum of ids.length === 0 ? [] : await postingsOf(db, ids)) {
    const sums = byTransaction.get(sum.transactionId);
    if (sums) sums.push(sum);
    else byTransaction.set(sum.transactionId, [sum]);
  }
  return windows.flatMap((window): UsageDifference[] => {
    const subject = `${window.lease_id} from ${window.window_start.toISOString()}`;
    const cost = window.is_own ? 0n : usageCost(BigInt(window.ms), BigInt(window.price));
    if (cost !== BigInt(window.cost)) {
      const message = `is charged with ${window.cost} micro-USD, and ${window.ms} ms at its price come to ${cost}`;
      return [{ what: 'cost', subject, message }];
    }
    const posted = window.transactions.flatMap(id => byTransaction.get(Number(id)) ?? []);
    const fault = postingFault(window, cost, posted);
    return fault === null ? [] : [{ what: 'posting', subject, message: fault }];
  });
}

/** Null: the postings are what they ought to be. */
function postingFault(window: WindowRow, cost: bigint, posted: readonly PostedSum[]): string | null {
  const isPaid = window.ordered && !window.is_own;
  if (!isPaid) return posted.length === 0 ? null : 'was paid for, and nothing was held for it';
  // Of lines that came to nothing none are noted.
  const terms = [window.assets, window.rates, window.fees].map(values => values.filter(value => value !== null));
  const [asset, rate, fees] = terms.map(([value]) => value);
  if (!asset || !rate || !fees) return cost === 0n ? null : 'costs something, and nothing was paid';
  if (terms.some(({ length }) => length > 1)) return 'was charged with more than one asset, price of IO or set of fees';
  const expected = expectedSums(window, { asset: asset as Asset, rate, fees, cost });
  const is = new Map<string, bigint>();
  for (const { kind, asset: of, tenantId, amount } of posted) {
    // Out of the hold or out of what was available: the renter's.
    const key = keyOf(kind === 'escrow' || kind === 'available' ? 'renter' : kind, of, tenantId);
    is.set(key, (is.get(key) ?? 0n) + amount);
  }
  for (const key of new Set([...expected.keys(), ...is.keys()])) {
    const [ought, has] = [expected.get(key) ?? 0n, is.get(key) ?? 0n];
    if (ought !== has) return `moved ${has} units of ${key}, and its cost comes to ${ought}`;
  }
  return null;
}

const keyOf = (kind: string, asset: Asset, tenantId: TenantId | null) => [kind, asset, tenantId ?? ''].join(' ').trim();

function expectedSums(
  window: WindowRow,
  { asset, rate, fees, cost }: { asset: Asset; rate: string; fees: string; cost: bigint },
): Map<string, bigint> {
  const charge = chargeOf({ asset, usdPerIo: parseRatio(rate), fees: parseFees(fees), costMicroUsd: cost });
  const [renterShort, supplierShort] = [BigInt(window.renter_short), BigInt(window.supplier_short)];
  const sums = new Map<string, bigint>();
  const add = (kind: string, of: Asset, tenantId: TenantId | null, amount: bigint) => {
    const key = keyOf(kind, of, tenantId);
    sums.set(key, (sums.get(key) ?? 0n) + amount);
  };
  add('renter', asset, window.renter, renterShort - charge.paid);
  add('adjustments', asset, null, -renterShort);
  add('fees', asset, null, charge.paymentFee + charge.renterReservation + charge.supplierReservation);
  add('rounding', asset, null, charge.rounding);
  if (asset !== 'IO') {
    add('exchange', asset, null, charge.supplierShare);
    add('exchange', 'IO', null, -charge.supplierIo);
  }
  add('earnings', 'IO', window.supplier, charge.supplierIo + supplierShort);
  add('adjustments', 'IO', null, -supplierShort);
  return sums;
}
