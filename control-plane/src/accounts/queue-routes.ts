/** Terms of queueing over HTTP: an operator sets them for any tenant, a tenant reads its own and what it uses of them. */
import { api, type TenantId } from '@iocloud/contracts';
import { recordEvents } from '../events/index.js';
import { type Database, type Http, type Queryable, wake } from '../platform/index.js';
import { type QueueUse, readQueueTerms, sameTerms, termsInWords, writeQueueTerms } from './queue-terms.js';
import { getTenant, lockTenant } from './store.js';

export function queueTermsRoutes(
  http: Http,
  database: Database,
  useOf: (db: Queryable, tenantId: TenantId) => Promise<QueueUse>,
): void {
  http.handle(api.getOwnQueueTerms, async ({ caller: { tenantId } }) => ({
    tenantId,
    terms: await readQueueTerms(database, tenantId),
    ...(await useOf(database, tenantId)),
  }));

  http.handle(api.getQueueTerms, async ({ params: { tenantId } }) => {
    await getTenant(database, tenantId);
    return readQueueTerms(database, tenantId);
  });

  http.handle(api.putQueueTerms, async ({ caller, params: { tenantId }, body }) =>
    database.transaction(async tx => {
      const tenant = await lockTenant(tx, tenantId);
      const before = await readQueueTerms(tx, tenantId);
      if (sameTerms(before, body)) return before;
      await writeQueueTerms(tx, tenantId, body);
      const message = `${caller.userId} set the queue terms of ${tenant.name}: ${termsInWords(body)}; before: ${termsInWords(before)}`;
      // Both sides have it in their history: who is ruled by the terms, and who set them.
      const told = new Set([tenantId, caller.tenantId]);
      await recordEvents(
        tx,
        [...told].map(reader => ({
          tenantId: reader,
          subjectKind: 'account',
          subject: tenantId,
          reason: 'QueueTermsChanged',
          message,
        })),
      );
      await wake(tx, 'dispatch', 'all');
      return readQueueTerms(tx, tenantId);
    }),
  );
}
