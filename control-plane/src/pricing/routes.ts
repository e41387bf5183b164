import { api } from '@iocloud/contracts';
import type { Database, Http } from '../platform/index.js';
import { newestVersions, versionsOf } from './store.js';

export function priceRoutes(http: Http, database: Database): void {
  http.handle(api.listPrices, async () => ({ items: await newestVersions(database), next: null }));

  http.handle(api.listPriceVersions, async ({ params, query }) => {
    const before = query.after === undefined ? null : new Date(query.after);
    const items = await versionsOf(database, params.model, before, query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.validFrom ?? null) : null };
  });
}
