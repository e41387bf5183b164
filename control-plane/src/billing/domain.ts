/** Joins the parts: charges what is metered, tends what runs, closes what is over. */
import type { ClusterId } from '@iocloud/contracts';
import type { Fees } from '../core/billing/index.js';
import { parseRatio } from '../core/billing/index.js';
import {
  type Database,
  type Http,
  type Logger,
  type Queryable,
  Recurring,
  type TopicHandler,
} from '../platform/index.js';
import { ioRate } from '../pricing/index.js';
import { chargeCluster } from './charge.js';
import { Charging } from './charging.js';
import { checkUsage } from './check.js';
import { cover, refusalOf } from './cover.js';
import { closeIfOver, endedClusters } from './orders.js';
import type { Orders } from './ports.js';
import { billingRoutes } from './routes.js';
import { tendAll } from './tend.js';
import type { BillingTerms, IoPrice } from './wiring.js';

export interface BillingWiring {
  config: { billing: 'off' | 'prepaid'; fees: Fees; holdMinutes: number; lowBalanceHours: number };
  database: Database;
  oracle: Parameters<typeof ioRate>[1];
  log: Logger;
  now(): Date;
  /** Throws Failure 'not-found'. */
  demandTenant: Parameters<typeof billingRoutes>[1]['demandTenant'];
}

export interface Billing {
  orders: Orders;
  /** Topic 'billing': charges what a cluster has used, and closes its order if that is over. */
  handler: TopicHandler;
  routes(http: Http): void;
  /** Of the checker: what charges and postings ought to be by usage, prices and fees. */
  check: typeof checkUsage;
  start(): void;
  stop(): Promise<void>;
}

const chargeIntervalMs = 1_000;
const tendIntervalMs = 5_000;

export function createBilling({ config, database, oracle, log, now, demandTenant }: BillingWiring): Billing {
  const terms: BillingTerms = {
    mode: config.billing,
    fees: config.fees,
    aheadMs: BigInt(config.holdMinutes) * 60_000n,
    lowBalanceHours: config.lowBalanceHours,
    rate: db => priceOfIo(db, oracle),
  };
  const settleCluster = async (key: string) => {
    const clusterId = key as ClusterId;
    await chargeCluster(database, terms, clusterId);
    await closeIfOver(database, clusterId);
  };
  const charges = new Charging({ database, terms, log, now: () => now().getTime() });
  const charging = new Recurring(
    'charging',
    chargeIntervalMs,
    isStopped => charges.run(isStopped),
    error => log.warn({ err: error }, 'usage could not be charged; again soon'),
  );
  const tending = new Recurring(
    'tending-orders',
    tendIntervalMs,
    async () => {
      await tendAll(database, terms, now());
      await warnOfWaiting(database, terms, log);
    },
    error => log.warn({ err: error }, 'running orders could not be looked at; again soon'),
  );
  return {
    orders: {
      cover: (tx, wanted) => cover(tx, terms, wanted),
      refusal: (db, price) => refusalOf(db, terms, price),
    },
    handler: { handle: settleCluster, sweep: () => endedClusters(database) },
    routes: http => billingRoutes(http, { database, terms, now, demandTenant }),
    check: checkUsage,
    start: () => {
      charging.start();
      tending.start();
    },
    stop: async () => {
      await charging.stop();
      await tending.stop();
    },
  };
}

async function priceOfIo(db: Queryable, oracle: BillingWiring['oracle']): Promise<IoPrice> {
  const { usdPerIo, usable } = await ioRate(db, oracle);
  const last = usdPerIo === null ? null : parseRatio(usdPerIo);
  return { usable: usable ? last : null, last };
}

/** Lines that wait for a price of IO are kept, and said. */
async function warnOfWaiting(database: Database, terms: BillingTerms, log: Logger): Promise<void> {
  const { usable } = await terms.rate(database);
  if (usable !== null) return;
  const { rows } = await database.query<{ lines: number }>('SELECT count(*)::int AS lines FROM charges_due');
  const lines = rows[0]?.lines ?? 0;
  if (lines > 0) log.warn({ lines }, 'usage waits to be charged until there is a usable price of IO');
}
