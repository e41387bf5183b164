/** Quotes: made from the price versions in force, kept for as long as they are valid. */
import { type IoRate, newId, type Quote, type QuoteId, type QuoteRequest, type TenantId } from '@iocloud/contracts';
import { acceleratorOf, modelsOf } from '../core/matching/index.js';
import { estimates, ioUnitsOf, totals } from '../core/pricing/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import { usableRate } from './io-rate/index.js';
import { newestVersions, readTerms } from './store.js';

const validMs = 15 * 60_000;
/** Of one tenant, at a time. */
const mostValid = 1_000;

/** Throws Failure 'unsatisfiable' where no model that would do has a market price, or none within the price asked for. */
export async function makeQuote(
  tx: Transaction,
  tenantId: TenantId,
  request: QuoteRequest,
  { random, now, rate }: { random: (n: number) => Uint8Array; now: Date; rate: IoRate },
): Promise<Quote> {
  const { requirements, gpus, hours, commitmentHours, spot } = request;
  const terms = await readTerms(tx);
  const wanted = modelsOf(requirements.accelerators);
  const prices = (await newestVersions(tx))
    .filter(({ model }) => (wanted === null || wanted.includes(model)) && isEnough(model, requirements))
    .map(({ model, id, microUsdPerGpuHour }) => ({ model, versionId: id, microUsd: microUsdPerGpuHour }));
  const [best, ...others] = estimates(prices, requirements, { commitmentHours, spot }, terms);
  if (!best) {
    throw new Failure('unsatisfiable', 'no model that meets the requirements has a market price: `iocloud price list`');
  }
  const sums = totals(best.microUsdPerGpuHour, gpus, hours);
  if (!sums) throw new Failure('bad-request', 'the order is too large for an exact sum: ask for less of it');
  const limit = requirements.maxMicroUsdPerHour;
  if (limit !== undefined && sums.microUsdPerHour > limit) {
    throw new Failure(
      'unsatisfiable',
      `the cheapest, ${best.model}, comes to ${sums.microUsdPerHour} micro-USD an hour, more than the ${limit} asked for`,
    );
  }
  const quote: Quote = {
    id: newId('quote', random),
    createdAt: now.toISOString(),
    validUntil: new Date(now.getTime() + validMs).toISOString(),
    request,
    model: best.model,
    priceVersionId: best.versionId,
    marketMicroUsd: best.microUsd,
    factors: best.factors,
    microUsdPerGpuHour: best.microUsdPerGpuHour,
    ...sums,
    io: inIo(sums.totalMicroUsd, rate),
    alternatives: others.map(({ model, versionId, microUsdPerGpuHour }) => ({
      model,
      priceVersionId: versionId,
      microUsdPerGpuHour,
    })),
  };
  await keep(tx, tenantId, quote);
  return quote;
}

function inIo(microUsd: number, rate: IoRate): Quote['io'] {
  const usable = usableRate(rate);
  if (usable === null || rate.usdPerIo === null || rate.at === null) return null;
  return { usdPerIo: rate.usdPerIo, at: rate.at, units: String(ioUnitsOf(microUsd, usable)) };
}

function isEnough(slug: string, { acceleratorVendors, minDeviceMemoryBytes }: QuoteRequest['requirements']): boolean {
  const model = acceleratorOf(slug);
  if (!model) return false;
  return (
    (acceleratorVendors === undefined || acceleratorVendors.some(vendor => vendor === model.vendor)) &&
    (minDeviceMemoryBytes === undefined || (model.memoryBytes ?? 0) >= minDeviceMemoryBytes)
  );
}

async function keep(tx: Transaction, tenantId: TenantId, quote: Quote): Promise<void> {
  const { rowCount } = await tx.query(
    `INSERT INTO quotes (id, tenant_id, quote, valid_until) SELECT $1, $2, $3, $4
     WHERE (SELECT count(*) FROM quotes WHERE tenant_id = $2 AND valid_until > $5) < $6`,
    [quote.id, tenantId, JSON.stringify(quote), quote.validUntil, quote.createdAt, mostValid],
  );
  if (rowCount === 0) {
    throw new Failure('too-many-requests', `${mostValid} quotes are valid already: use one of them, or wait`);
  }
}

export async function getQuote(db: Queryable, tenantId: TenantId, id: QuoteId, now: Date): Promise<Quote> {
  const { rows } = await db.query<{ quote: Quote }>(
    'SELECT quote FROM quotes WHERE tenant_id = $1 AND id = $2 AND valid_until > $3',
    [tenantId, id, now],
  );
  if (!rows[0]) throw new Failure('not-found', `no quote ${id}, or it is no longer valid; \`iocloud quote\` makes one`);
  return rows[0].quote;
}

export async function forgetQuotes(db: Queryable, now: Date): Promise<void> {
  await db.query('DELETE FROM quotes WHERE valid_until <= $1', [now]);
}
