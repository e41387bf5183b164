/** Webhooks over HTTP, each tenant's its own. */
import { api, type DeliveryId, newId, type WebhookId } from '@iocloud/contracts';
import { nextState } from '../core/webhooks/index.js';
import { lastSequence, recordEvent } from '../events/index.js';
import {
  type Caller,
  type Database,
  type Destinations,
  Failure,
  type Http,
  RefusedAddress,
  type Seal,
  type Transaction,
} from '../platform/index.js';
import type { Sender, Taken } from './sender.js';
import { newSecret } from './signature.js';
import {
  disableWebhook,
  getDelivery,
  getWebhook,
  insertDeliveries,
  insertWebhook,
  listDeliveries,
  listWebhooks,
  lockWebhook,
  toDelivery,
  toWebhook,
} from './store.js';

const mostOfTenant = 20;

export interface WebhookRouteWiring {
  database: Database;
  seal: Seal;
  random: (n: number) => Uint8Array;
  destinations: Destinations;
  sender: Sender;
}

export function webhookRoutes(http: Http, wiring: WebhookRouteWiring): void {
  keepingRoutes(http, wiring);
  secretRoutes(http, wiring);
  deliveryRoutes(http, wiring);
}

function demandUrl(destinations: Destinations, url: string): void {
  try {
    destinations.demandUrl(new URL(url));
  } catch (error) {
    if (error instanceof RefusedAddress) throw new Failure('bad-request', `body.url: ${error.message}`);
    throw error;
  }
}

const tell = (tx: Transaction, { tenantId, userId }: Caller, reason: string, message: string) =>
  recordEvent(tx, { tenantId, subjectKind: 'account', subject: tenantId, reason, message: `${userId} ${message}` });

function keepingRoutes(http: Http, { database, seal, random, destinations }: WebhookRouteWiring): void {
  http.handle(api.listWebhooks, async ({ caller }) => ({
    items: (await listWebhooks(database, caller.tenantId)).map(toWebhook),
    next: null,
  }));

  http.handle(api.createWebhook, async ({ caller, body }) => {
    demandUrl(destinations, body.url);
    const { tenantId } = caller;
    return database.transaction(async tx => {
      // Two at a time count one another.
      await tx.query('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
      if ((await listWebhooks(tx, tenantId)).length >= mostOfTenant) {
        throw new Failure('conflict', `a tenant has at most ${mostOfTenant} webhooks: remove one`);
      }
      const id = newId('webhook', random);
      const secret = newSecret(random);
      const after = await lastSequence(tx, tenantId);
      const { url, events, description } = body;
      const made = await insertWebhook(tx, {
        ...{ id, tenant_id: tenantId, url, events, description },
        sealed_secret: seal.seal(secret, id),
        after_sequence: after,
      });
      await tell(tx, caller, 'WebhookAdded', `has events sent to webhook ${id}`);
      return { ...toWebhook(made), secret };
    });
  });

  http.handle(api.changeWebhook, async ({ caller, params: { webhookId }, body }) => {
    if (body.url !== undefined) demandUrl(destinations, body.url);
    return database.transaction(async tx => {
      const before = await lockWebhook(tx, caller.tenantId, webhookId);
      const { url = before.url, events = before.events, description = before.description, enabled } = body;
      await tx.query('UPDATE webhooks SET url = $2, events = $3, description = $4 WHERE id = $1', [
        webhookId,
        url,
        events,
        description,
      ]);
      const isEnabled = before.disabled_at === null;
      if (enabled === false && isEnabled) await disableWebhook(tx, webhookId, 'disabled by its owner');
      if (enabled === true && !isEnabled) await enable(tx, caller, webhookId);
      await tell(tx, caller, 'WebhookChanged', `changed webhook ${webhookId}`);
      return toWebhook(await getWebhook(tx, caller.tenantId, webhookId));
    });
  });

  http.handle(api.removeWebhook, async ({ caller, params: { webhookId } }) =>
    database.transaction(async tx => {
      const webhook = await lockWebhook(tx, caller.tenantId, webhookId);
      await tx.query('DELETE FROM webhooks WHERE id = $1', [webhookId]);
      await tell(tx, caller, 'WebhookRemoved', `removed webhook ${webhookId}`);
      return toWebhook(webhook);
    }),
  );
}

/** With what comes from now on: what came while it was disabled is not made up for. */
async function enable(tx: Transaction, { tenantId }: Caller, id: WebhookId): Promise<void> {
  await tx.query(
    `UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL, after_sequence = $2 WHERE id = $1`,
    [id, await lastSequence(tx, tenantId)],
  );
}

function secretRoutes(http: Http, { database, seal, random }: WebhookRouteWiring): void {
  http.handle(api.rotateWebhook, async ({ caller, params: { webhookId }, body }) =>
    database.transaction(async tx => {
      await lockWebhook(tx, caller.tenantId, webhookId);
      const secret = newSecret(random);
      await tx.query(
        `UPDATE webhooks SET sealed_secret = $2, sealed_previous = CASE WHEN $3 > 0 THEN sealed_secret END,
           previous_until = CASE WHEN $3 > 0 THEN now() + make_interval(secs => $3) END WHERE id = $1`,
        [webhookId, seal.seal(secret, webhookId), body.overlapSeconds],
      );
      await tell(tx, caller, 'WebhookSecretRotated', `gave webhook ${webhookId} a new secret`);
      return { ...toWebhook(await getWebhook(tx, caller.tenantId, webhookId)), secret };
    }),
  );
}

function deliveryRoutes(http: Http, { database, random, sender }: WebhookRouteWiring): void {
  http.handle(api.testWebhook, async ({ caller, params: { webhookId } }) => {
    const id = newId('delivery', random);
    const taken = await database.transaction(async tx => {
      const webhook = await lockWebhook(tx, caller.tenantId, webhookId);
      const { rows } = await tx.query<{ now: Date }>('SELECT now() AS now');
      const message = { type: 'webhook.test', timestamp: rows[0]?.now.toISOString(), data: { message: 'a test' } };
      const body = JSON.stringify(message);
      await insertDeliveries(tx, webhookId, [{ id, sequence: null, type: message.type, body }]);
      // Ended for whoever looks for what is due: it is sent once, here and now.
      await tx.query(
        `UPDATE webhook_deliveries SET state = 'failed', next_at = NULL, attempts = 1, last_at = now(),
           last_error = 'the attempt was cut off' WHERE id = $1`,
        [id],
      );
      const delivery = await getDelivery(tx, webhookId, id);
      return { ...webhook, ...delivery } satisfies Taken;
    });
    const { status, error, durationMs } = await sender.attempt(taken, true);
    // One that did not arrive has ended as it began: what came of it is still to be written.
    await database.query(
      `UPDATE webhook_deliveries SET last_status = $2, last_error = $3, last_ms = $4 WHERE id = $1 AND state = 'failed'`,
      [id, status, error, durationMs],
    );
    return toDelivery(await getDelivery(database, webhookId, id));
  });

  http.handle(api.listWebhookDeliveries, async ({ caller, params: { webhookId }, query }) => {
    await getWebhook(database, caller.tenantId, webhookId);
    const rows = await listDeliveries(database, webhookId, query.after, query.limit);
    return { items: rows.map(toDelivery), next: rows.length === query.limit ? (rows.at(-1)?.id ?? null) : null };
  });

  http.handle(api.redeliverWebhook, async ({ caller, params: { webhookId, deliveryId } }) =>
    database.transaction(async tx => {
      const webhook = await lockWebhook(tx, caller.tenantId, webhookId);
      if (webhook.disabled_at !== null) throw new Failure('conflict', 'the webhook is disabled: enable it first');
      return toDelivery(await sendAgain(tx, webhookId, deliveryId));
    }),
  );
}

async function sendAgain(tx: Transaction, webhookId: WebhookId, id: DeliveryId) {
  const { state } = await getDelivery(tx, webhookId, id);
  if (nextState(state, 'sentAgain') === null) throw new Failure('conflict', 'the message is still on its way');
  await tx.query(
    `UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = now() WHERE id = $1 AND state = $2`,
    [id, state],
  );
  return getDelivery(tx, webhookId, id);
}
