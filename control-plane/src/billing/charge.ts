/**
 * Every usage line gets its charge once: the cost by its lease's price, the postings in the ledger and the row that joins
 * the two commit together, many lines at a time, by one process at a time. Killed anywhere, a line has both or neither.
 */
import type { ClusterId, LeaseId } from '@iocloud/contracts';
import { feesInWords, noShortfall, type Ratio, type UsageTerms, usageCost } from '../core/billing/index.js';
import { settleUsage, type UsageItem, type UsagePosted } from '../ledger/index.js';
import type { Database, Transaction } from '../platform/index.js';
import { chargedWindows, type DueLine, dueLines, type WindowState, windowOf } from './lines.js';
import { actor, type BillingTerms } from './wiring.js';

/** Any constant will do, as long as every replica takes the same. */
const chargeLock = 7_265_106;
/** A cluster that ends waits for no more than one of these: about half a second. */
export const chargeBatch = 1_000;

export type ChargeTerms = Pick<BillingTerms, 'fees' | 'rate'>;

/** Lines were found and could not be charged: none of them was. */
export class NotCharged extends Error {
  constructor(
    readonly lines: readonly Pick<DueLine, 'lineId' | 'leaseId'>[],
    cause: unknown,
  ) {
    super(`usage line ${lines[0]?.lineId} or one of the ${lines.length - 1} after it could not be charged`, { cause });
  }
}

export interface ChargeScope {
  /** Null: of all. */
  clusterId?: ClusterId | null;
  /** Leases whose lines are left for later. */
  except?: readonly LeaseId[];
  limit?: number;
}

/** Charges the next lines. How many: less than `limit` are all that can be charged now. */
export async function chargeNext(
  database: Database,
  terms: ChargeTerms,
  { clusterId = null, except = [], limit = chargeBatch }: ChargeScope = {},
): Promise<number> {
  return database.transaction(async tx => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [chargeLock]);
    const { usable } = await terms.rate(tx);
    const lines = await dueLines(tx, { clusterId, except, hasRate: usable !== null, limit });
    if (lines.length === 0) return 0;
    try {
      await charge(tx, lines, terms, usable);
    } catch (error) {
      throw new NotCharged(lines, error);
    }
    return lines.length;
  });
}

async function charge(tx: Transaction, lines: readonly DueLine[], terms: ChargeTerms, usable: Ratio | null) {
  const windows = await chargedWindows(tx, lines);
  const charges = lines.map(line => chargeFor(line, windows, terms, usable));
  const items = charges.flatMap(({ item }) => item ?? []);
  const posted = new Map<string, UsagePosted>();
  if (items.length > 0) {
    for (const [index, each] of (await settleUsage(tx, items, actor)).entries()) {
      posted.set(items[index]?.key ?? '', each);
    }
  }
  await write(tx, charges, posted);
}

/** All that can be charged now of one cluster; its first line that cannot be ends it. */
export async function chargeCluster(database: Database, terms: ChargeTerms, clusterId: ClusterId): Promise<void> {
  while ((await chargeNext(database, terms, { clusterId })) === chargeBatch);
}

interface LineCharge {
  line: DueLine;
  costMicroUsd: bigint;
  terms: UsageTerms | null;
  reason: string;
  /** Null: nothing to post. */
  item: UsageItem | null;
}

/** Notes the line in its window's state, for the lines of the window that follow. */
function chargeFor(
  line: DueLine,
  windows: Map<string, WindowState>,
  { fees }: ChargeTerms,
  usable: Ratio | null,
): LineCharge {
  const window = windowOf(line);
  const isFirst = !windows.has(window);
  const state = windows.get(window) ?? { billableMs: 0n, costMicroUsd: 0n, terms: null, borne: noShortfall };
  windows.set(window, state);
  const before = state.costMicroUsd;
  state.billableMs += line.billableMs;
  const isOwn = line.renterId === line.supplierId;
  state.costMicroUsd = isOwn ? 0n : usageCost(state.billableMs, line.microUsdPerHour);
  const costMicroUsd = state.costMicroUsd - before;
  const without = (reason: string): LineCharge => ({ line, costMicroUsd, terms: null, reason, item: null });
  if (isOwn) return without('the machine is the renter’s own');
  if (line.orderId === null || line.asset === null) return without('nothing was held for the lease: billing was off');
  if (costMicroUsd === 0n) return without('comes to less than a micro-USD');
  state.terms ??= usable && { asset: line.asset, usdPerIo: usable, fees };
  if (state.terms === null) throw new Error(`usage line ${line.lineId} was to be charged without a price of IO`);
  const { usdPerIo } = state.terms;
  const item: UsageItem = {
    key: line.lineId,
    window,
    terms: state.terms,
    before,
    after: state.costMicroUsd,
    borneBefore: state.borne,
    reference: line.orderId,
    supplierId: line.supplierId,
    isCorrection: !isFirst,
    memo: `usage of ${line.leaseId} from ${line.windowStart.toISOString()}`,
    detail: {
      usageLine: line.lineId,
      lease: line.leaseId,
      windowStart: line.windowStart.toISOString(),
      revision: String(line.revision),
      windowCostBeforeMicroUsd: String(before),
      windowCostMicroUsd: String(state.costMicroUsd),
      usdPerIo: ratioInWords(usdPerIo),
      feesPpm: feesInWords(state.terms.fees),
    },
  };
  return { line, costMicroUsd, terms: state.terms, reason: '', item };
}

const ratioInWords = ({ numerator, denominator }: Ratio): string => `${numerator}/${denominator}`;

async function write(
  tx: Transaction,
  charges: readonly LineCharge[],
  posted: ReadonlyMap<string, UsagePosted>,
): Promise<void> {
  const of = ({ item }: LineCharge) => (item === null ? undefined : posted.get(item.key));
  await tx.query({
    name: 'billing-write-charges',
    text: `WITH charged AS (
             INSERT INTO usage_charges (usage_line_id, transaction_id, cost_micro_usd, micro_usd_per_hour, usd_per_io,
               reason, asset, fees_ppm, renter_short, supplier_short)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
               $7::text[], $8::text[], $9::bigint[], $10::bigint[]))
           DELETE FROM charges_due WHERE usage_line_id = ANY ($1)`,
    values: [
      charges.map(({ line }) => line.lineId),
      charges.map(charge => of(charge)?.transactionId ?? null),
      charges.map(({ costMicroUsd }) => String(costMicroUsd)),
      charges.map(({ line }) => String(line.microUsdPerHour)),
      charges.map(({ terms }) => terms && ratioInWords(terms.usdPerIo)),
      charges.map(charge => (charge.item && !of(charge)?.transactionId ? 'comes to less than a unit' : charge.reason)),
      charges.map(({ terms }) => terms?.asset ?? null),
      charges.map(({ terms }) => terms && feesInWords(terms.fees)),
      charges.map(charge => String(of(charge)?.borne.renter ?? 0)),
      charges.map(charge => String(of(charge)?.borne.supplier ?? 0)),
    ],
  });
  const spent = charges.filter(({ item }) => item !== null);
  if (spent.length === 0) return;
  await tx.query({
    name: 'billing-add-spending',
    text: `INSERT INTO tenant_spending (tenant_id, day, cost_micro_usd)
           SELECT tenant_id, (start AT TIME ZONE 'UTC')::date, sum(cost)
           FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS s (tenant_id, start, cost)
           GROUP BY 1, 2 ORDER BY 1, 2
           ON CONFLICT (tenant_id, day) DO UPDATE
             SET cost_micro_usd = tenant_spending.cost_micro_usd + excluded.cost_micro_usd`,
    values: [
      spent.map(({ line }) => line.renterId),
      spent.map(({ line }) => line.windowStart),
      spent.map(({ costMicroUsd }) => String(costMicroUsd)),
    ],
  });
}
