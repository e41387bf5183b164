/**
 * The price of the hour: a version for each model and hour, made once the hour before is over, by one replica at a time.
 * Hours that nobody was there for are made up for in their order, each in a transaction of its own, so it may be killed
 * anywhere. What they are made from is on record: the leases, and the machines and when they were heard last.
 */
import { aimOf, nextPrice, type PricingTerms, type Use, utilisationPpm } from '../core/pricing/index.js';
import { type Database, type Logger, Recurring, type Transaction, takeLock, wake } from '../platform/index.js';
import type { PricedLeases, PricedMachines } from './ports.js';
import { forgetQuotes } from './quotes.js';
import { insertVersions, type NewVersion, newestVersions, readTerms, writeTerms } from './store.js';

/** Any constant will do, as long as every replica takes the same. */
const pricingLock = 7_265_085;
const hourMs = 3_600_000;
/** Until the price of a new hour is made that of the hour before stands in. */
const lookIntervalMs = 5_000;

export interface HoursWiring {
  database: Database;
  machines: PricedMachines;
  leases: PricedLeases;
  /** By the database's clock, which all replicas share; comes in for tests. */
  now?: (tx: Transaction) => Promise<Date>;
}

/** Makes the versions of the earliest hour that lacks some. False: there is none, or another replica is at it. */
export async function makeNextHour(wiring: HoursWiring): Promise<boolean> {
  return wiring.database.transaction(async tx => {
    if (!(await takeLock(tx, pricingLock))) return false;
    const nowMs = (await (wiring.now ?? databaseTime)(tx)).getTime();
    const currentMs = nowMs - (nowMs % hourMs);
    const terms = await readTerms(tx);
    const pending = await nextOfEach(tx, terms, currentMs);
    const hour = Math.min(...pending.map(({ fromMs }) => fromMs));
    if (!(hour <= currentMs)) return false;
    const due = pending.filter(({ fromMs }) => fromMs === hour);
    const uses = await usesOf(tx, wiring, new Date(hour - hourMs), new Date(hour));
    const versions = due.map(next => versionOf(next, uses.get(next.model) ?? { used: 0n, offered: 0n }, terms));
    await insertVersions(tx, versions);
    if (versions.some(({ beforeMicroUsd, microUsdPerGpuHour }) => beforeMicroUsd !== microUsdPerGpuHour)) {
      await tellOfPrices(tx, wiring.machines);
    }
    return true;
  });
}

interface Next {
  model: string;
  fromMs: number;
  beforeMicroUsd: number;
  baseMicroUsd: number;
}

/** A model that once had a market keeps it, at its last base price, though it is no longer configured. */
async function nextOfEach(tx: Transaction, terms: PricingTerms, currentMs: number): Promise<Next[]> {
  const bases = new Map(Object.entries(terms.baseMicroUsdPerHour));
  const last = await newestVersions(tx);
  const known = last.map(({ model, validUntil, microUsdPerGpuHour, baseMicroUsd }) => ({
    model,
    fromMs: Date.parse(validUntil),
    beforeMicroUsd: microUsdPerGpuHour,
    baseMicroUsd: bases.get(model) ?? baseMicroUsd,
  }));
  const had = new Set(known.map(({ model }) => model));
  const fresh = [...bases].filter(([model]) => !had.has(model));
  return [
    ...known,
    ...fresh.map(([model, base]) => ({ model, fromMs: currentMs, beforeMicroUsd: base, baseMicroUsd: base })),
  ];
}

function versionOf({ model, fromMs, beforeMicroUsd, baseMicroUsd }: Next, use: Use, terms: PricingTerms): NewVersion {
  const aimMicroUsd = aimOf(baseMicroUsd, terms.curve, utilisationPpm(use));
  const validFrom = new Date(fromMs).toISOString();
  return {
    id: `${model}@${validFrom.slice(0, 13)}Z`,
    model,
    microUsdPerGpuHour: Math.max(1, nextPrice(beforeMicroUsd, aimMicroUsd, terms.curve)),
    validFrom,
    validUntil: new Date(fromMs + hourMs).toISOString(),
    beforeMicroUsd,
    baseMicroUsd,
    aimMicroUsd,
    usedDeviceSeconds: Number(use.used),
    offeredDeviceSeconds: Number(use.offered),
    curve: terms.curve,
  };
}

/** By model. What is held of an accelerator counts only as far as it is offered. */
async function usesOf(
  tx: Transaction,
  { machines, leases }: HoursWiring,
  from: Date,
  until: Date,
): Promise<ReadonlyMap<string, Use>> {
  const held = new Map<string, number>();
  for (const { nodeId, index, seconds } of await leases.held(tx, from, until)) held.set(`${nodeId} ${index}`, seconds);
  const uses = new Map<string, { used: bigint; offered: bigint }>();
  for (const { nodeId, index, model, seconds } of await machines.offered(tx, from, until)) {
    const use = uses.get(model) ?? { used: 0n, offered: 0n };
    use.offered += BigInt(seconds);
    use.used += BigInt(Math.min(seconds, held.get(`${nodeId} ${index}`) ?? 0));
    uses.set(model, use);
  }
  return uses;
}

async function databaseTime(tx: Transaction): Promise<Date> {
  const { rows } = await tx.query<{ now: Date }>('SELECT now() AS now');
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}

async function tellOfPrices(tx: Transaction, machines: PricedMachines): Promise<void> {
  await machines.pricesChanged(tx);
  await wake(tx, 'dispatch', 'all');
}

/** At the start: the configured terms are in force from now on, for hours that are still to be made too. */
export async function applyTerms(tx: Transaction, terms: PricingTerms, machines: PricedMachines): Promise<void> {
  if (await writeTerms(tx, terms)) await tellOfPrices(tx, machines);
}

export const pricingSweep = (wiring: HoursWiring, log: Logger): Recurring =>
  new Recurring(
    'pricing',
    lookIntervalMs,
    async isStopped => {
      await forgetQuotes(wiring.database, new Date());
      while (!isStopped() && (await makeNextHour(wiring)));
    },
    error => log.warn({ err: error }, 'the price of the hour could not be made; again soon'),
  );
