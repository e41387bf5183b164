/** How a tenant's billing stands, and what it sets of it. An operator may do so for others. */
import { api, assets, type Billing, type TenantId, unitsInWords } from '@iocloud/contracts';
import { tend } from '../core/billing/index.js';
import { recordEvent } from '../events/index.js';
import { availableOf, readHolds } from '../ledger/index.js';
import { type Caller, type Database, Failure, type Http, type Queryable } from '../platform/index.js';
import { openOrders } from './exposure.js';
import { periodEnds, settingsOf, spentBy, writeSettings } from './settings.js';
import { termsFor } from './terms.js';
import type { BillingTerms } from './wiring.js';

interface Wiring {
  database: Database;
  terms: BillingTerms;
  now(): Date;
  /** Throws Failure 'not-found'. */
  demandTenant(db: Queryable, tenantId: TenantId): Promise<unknown>;
}

export function billingRoutes(http: Http, { database, terms, now, demandTenant }: Wiring): void {
  const whose = async (caller: Caller, tenantId: TenantId | undefined, need: 'ledger:read' | 'ledger:write') => {
    if (tenantId === undefined || tenantId === caller.tenantId) return caller.tenantId;
    if (!caller.permissions.has(need)) {
      throw new Failure(
        'permission-denied',
        `the billing of others takes the permission ${need}, which your key lacks`,
      );
    }
    await demandTenant(database, tenantId);
    return tenantId;
  };

  http.handle(api.getBilling, async ({ caller, query }) =>
    billingOf(database, terms, await whose(caller, query.tenantId, 'ledger:read'), now()),
  );

  http.handle(api.changeBilling, async ({ caller, query, body }) => {
    const tenantId = await whose(caller, query.tenantId, 'ledger:write');
    await database.transaction(async tx => {
      // Two changes of different things both count.
      await tx.query('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
      const { paysIn, dayCapMicroUsd, monthCapMicroUsd } = await settingsOf(tx, tenantId);
      await writeSettings(tx, tenantId, {
        paysIn: body.paysIn ?? paysIn,
        dayCapMicroUsd: body.dayCapMicroUsd === undefined ? dayCapMicroUsd : body.dayCapMicroUsd,
        monthCapMicroUsd: body.monthCapMicroUsd === undefined ? monthCapMicroUsd : body.monthCapMicroUsd,
      });
      const message = `${caller.userId} changed ${Object.keys(body).join(', ') || 'nothing'} of the billing`;
      const event = { subjectKind: 'account', subject: tenantId, reason: 'BillingChanged', message } as const;
      await recordEvent(tx, { tenantId, ...event });
    });
    return billingOf(database, terms, tenantId, now());
  });
}

async function billingOf(db: Queryable, terms: BillingTerms, tenantId: TenantId, now: Date): Promise<Billing> {
  const nowMs = now.getTime();
  const settings = await settingsOf(db, tenantId);
  const spent = await spentBy(db, tenantId, nowMs);
  const orders = await openOrders(db, now, tenantId);
  const holds = await readHolds(
    db,
    orders.map(({ id }) => id),
  );
  const rate = await terms.rate(db);
  const available = await availableOf(db, [tenantId]);
  const known = orders.filter(({ asset }) => termsFor(asset, terms.fees, rate) !== null);
  const { lastsMs } = tend(
    {
      orders: known.map(({ id, asset, exposure }) => {
        const { left = 0n, closed = false } = holds.get(id) ?? {};
        return { id, asset, exposure, left, isClosed: closed };
      }),
      available: new Map(assets.map(asset => [asset, available(tenantId, asset)])),
      caps: { day: null, month: null },
      nowMs,
      ...periodEnds(nowMs),
    },
    terms.aheadMs,
    asset =>
      termsFor(asset, terms.fees, rate) ?? { asset, fees: terms.fees, usdPerIo: { numerator: 1n, denominator: 1n } },
  );
  const { rows: waiting } = await db.query<{ lines: number }>(
    'SELECT count(*)::int AS lines FROM charges_due d JOIN leases l ON l.id = d.lease_id WHERE l.tenant_id = $1',
    [tenantId],
  );
  const waitingLines = waiting[0]?.lines ?? 0;
  const { rows: low } = await db.query<{ since: Date }>('SELECT since FROM low_balances WHERE tenant_id = $1', [
    tenantId,
  ]);
  const sum = (part: 'accrued' | 'perHour') => Number(orders.reduce((all, { exposure }) => all + exposure[part], 0n));
  return {
    tenantId,
    mode: terms.mode,
    ...settings,
    spentTodayMicroUsd: Number(spent.day),
    spentThisMonthMicroUsd: Number(spent.month),
    accruedMicroUsd: sum('accrued'),
    microUsdPerHour: sum('perHour'),
    hoursLeft: lastsMs === null ? null : Math.floor(Number(lastsMs) / 36_000) / 100,
    lowSince: low[0]?.since.toISOString() ?? null,
    orders: orders.map(({ id, clusterId, asset, paidUntil, shortage, exposure }) => ({
      id,
      clusterId,
      asset,
      held: unitsInWords(holds.get(id)?.left ?? 0n, asset),
      microUsdPerHour: Number(exposure.perHour),
      paidUntil: paidUntil?.toISOString() ?? null,
      shortage,
    })),
    waitingLines,
    waitingReason:
      waitingLines > 0 && rate.usable === null ? 'there is no usable price of IO: `iocloud price io`' : null,
  };
}
