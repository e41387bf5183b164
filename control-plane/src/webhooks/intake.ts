/**
 * From the tenant's history to messages: each webhook has its place in it, which moves on in the transaction that writes
 * the messages. Any replica may do it; killed anywhere, an event has its messages or still comes.
 */
import { newId, type TenantId, type WebhookId, type WebhookMessage } from '@iocloud/contracts';
import { isWanted, typeOf } from '../core/webhooks/index.js';
import { readEvents } from '../events/index.js';
import type { Database } from '../platform/index.js';
import { insertDeliveries, type WebhookRow } from './store.js';

const eventsAtOnce = 500;
const webhooksAtOnce = 1_000;

/** Takes in what there is. How many events were looked at. */
export async function takeIn(
  database: Database,
  random: (n: number) => Uint8Array,
  isStopped: () => boolean,
): Promise<number> {
  const { rows } = await database.query<{ id: WebhookId }>(
    `SELECT w.id FROM webhooks w WHERE w.disabled_at IS NULL AND EXISTS (
       SELECT FROM events e WHERE e.tenant_id = w.tenant_id AND e.sequence > w.after_sequence
         AND e.xid < pg_snapshot_xmin(pg_current_snapshot()))
     ORDER BY w.id LIMIT $1`,
    [webhooksAtOnce],
  );
  let all = 0;
  for (const { id } of rows) {
    for (let taken = eventsAtOnce; taken === eventsAtOnce && !isStopped(); all += taken) {
      taken = await takeNext(database, random, id);
    }
  }
  return all;
}

const takeNext = (database: Database, random: (n: number) => Uint8Array, id: WebhookId): Promise<number> =>
  database.transaction(async tx => {
    const { rows } = await tx.query<Pick<WebhookRow, 'tenant_id' | 'events' | 'after_sequence'>>(
      `SELECT tenant_id, events, after_sequence FROM webhooks WHERE id = $1 AND disabled_at IS NULL
       FOR NO KEY UPDATE SKIP LOCKED`,
      [id],
    );
    const [webhook] = rows;
    if (!webhook) return 0;
    const tenantId: TenantId = webhook.tenant_id;
    const events = await readEvents(tx, tenantId, webhook.after_sequence, eventsAtOnce, {});
    const last = events.at(-1);
    if (!last) return 0;
    const deliveries = events
      .filter(event => isWanted(typeOf(event), webhook.events))
      .map(({ at, ...data }) => {
        const message: WebhookMessage = { type: typeOf(data), timestamp: at, data };
        return {
          id: newId('delivery', random),
          sequence: data.sequence,
          type: message.type,
          body: JSON.stringify(message),
        };
      });
    if (deliveries.length > 0) await insertDeliveries(tx, id, deliveries);
    await tx.query('UPDATE webhooks SET after_sequence = $2 WHERE id = $1', [id, last.sequence]);
    return events.length;
  });
