import { api } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import type { Database, Http } from '../platform/index.js';
import { ioRate, type Oracle } from './io-rate/index.js';
import { getQuote, makeQuote } from './quotes.js';
import { newestVersions, versionsOf } from './store.js';

interface Wiring {
  database: Database;
  random: (n: number) => Uint8Array;
  now(): Date;
  oracle: Pick<Oracle, 'guards' | 'nowMs'>;
}

export function priceRoutes(http: Http, { database, random, now, oracle }: Wiring): void {
  http.handle(api.listPrices, async () => ({ items: await newestVersions(database), next: null }));

  http.handle(api.getIoRate, async () => ioRate(database, oracle));

  http.handle(api.listPriceVersions, async ({ params, query }) => {
    const before = query.after === undefined ? null : new Date(query.after);
    const items = await versionsOf(database, params.model, before, query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.validFrom ?? null) : null };
  });

  http.handle(api.createQuote, async ({ caller, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () =>
        makeQuote(tx, caller.tenantId, body, { random, now: now(), rate: await ioRate(tx, oracle) }),
      ),
    ),
  );

  http.handle(api.getQuote, async ({ caller, params }) => getQuote(database, caller.tenantId, params.quoteId, now()));
}
