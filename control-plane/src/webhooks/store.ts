/** The rows of webhooks and of what was sent to them. */
import type { DeliveryId, TenantId, Webhook, WebhookDelivery, WebhookId } from '@iocloud/contracts';
import type { DeliveryState } from '../core/webhooks/index.js';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';

export interface WebhookRow {
  id: WebhookId;
  tenant_id: TenantId;
  url: string;
  events: string[];
  description: string;
  sealed_secret: Buffer;
  sealed_previous: Buffer | null;
  previous_until: Date | null;
  after_sequence: number;
  delivered_at: Date | null;
  failing_since: Date | null;
  disabled_at: Date | null;
  disabled_reason: string | null;
  created_at: Date;
}

export const toWebhook = (row: WebhookRow): Webhook => ({
  id: row.id,
  url: row.url,
  events: row.events,
  description: row.description,
  createdAt: row.created_at.toISOString(),
  disabledAt: row.disabled_at?.toISOString() ?? null,
  disabledReason: row.disabled_reason,
  failingSince: row.failing_since?.toISOString() ?? null,
  previousSecretUntil: row.previous_until?.toISOString() ?? null,
});

export interface DeliveryRow {
  id: DeliveryId;
  webhook_id: WebhookId;
  type: string;
  body: string;
  state: DeliveryState;
  attempts: number;
  next_at: Date | null;
  last_at: Date | null;
  last_status: number | null;
  last_error: string | null;
  last_ms: number | null;
  created_at: Date;
}

export const toDelivery = (row: DeliveryRow): WebhookDelivery => ({
  id: row.id,
  type: row.type,
  createdAt: row.created_at.toISOString(),
  state: row.state,
  attempts: row.attempts,
  nextAttemptAt: row.next_at?.toISOString() ?? null,
  lastAttemptAt: row.last_at?.toISOString() ?? null,
  lastStatus: row.last_status,
  lastError: row.last_error,
  lastDurationMs: row.last_ms,
});

export async function listWebhooks(db: Queryable, tenantId: TenantId): Promise<WebhookRow[]> {
  const { rows } = await db.query<WebhookRow>('SELECT * FROM webhooks WHERE tenant_id = $1 ORDER BY created_at, id', [
    tenantId,
  ]);
  return rows;
}

/** Throws Failure 'not-found', also for one of others. */
export async function getWebhook(db: Queryable, tenantId: TenantId, id: WebhookId): Promise<WebhookRow> {
  const { rows } = await db.query<WebhookRow>('SELECT * FROM webhooks WHERE id = $1 AND tenant_id = $2', [
    id,
    tenantId,
  ]);
  if (!rows[0]) throw new Failure('not-found', `no webhook ${id}`);
  return rows[0];
}

/** As `getWebhook`, held until the transaction ends. */
export async function lockWebhook(tx: Transaction, tenantId: TenantId, id: WebhookId): Promise<WebhookRow> {
  await tx.query('SELECT 1 FROM webhooks WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE', [id, tenantId]);
  return getWebhook(tx, tenantId, id);
}

export async function insertWebhook(
  tx: Transaction,
  row: Pick<WebhookRow, 'id' | 'tenant_id' | 'url' | 'events' | 'description' | 'sealed_secret' | 'after_sequence'>,
): Promise<WebhookRow> {
  const { rows } = await tx.query<WebhookRow>(
    `INSERT INTO webhooks (id, tenant_id, url, events, description, sealed_secret, after_sequence)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *`,
    [row.id, row.tenant_id, row.url, row.events, row.description, row.sealed_secret, row.after_sequence],
  );
  if (!rows[0]) throw new Error('a webhook that was inserted is not there');
  return rows[0];
}

/** Disabled, with what was still to be sent given up; it stays in the log, and can be sent again by hand. */
export async function disableWebhook(tx: Transaction, id: WebhookId, reason: string): Promise<void> {
  await tx.query('UPDATE webhooks SET disabled_at = now(), disabled_reason = $2 WHERE id = $1', [id, reason]);
  await tx.query(
    `UPDATE webhook_deliveries SET state = 'failed', next_at = NULL, last_error = coalesce(last_error, $2)
     WHERE webhook_id = $1 AND state = 'pending'`,
    [id, `not sent: ${reason}`],
  );
}

export async function insertDeliveries(
  tx: Transaction,
  webhookId: WebhookId,
  deliveries: readonly { id: DeliveryId; sequence: number | null; type: string; body: string }[],
): Promise<void> {
  await tx.query(
    `INSERT INTO webhook_deliveries (id, webhook_id, event_sequence, type, body)
     SELECT d.id, $1, d.sequence, d.type, d.body
     FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS d (id, sequence, type, body)
     ON CONFLICT (webhook_id, event_sequence) DO NOTHING`,
    [
      webhookId,
      deliveries.map(({ id }) => id),
      deliveries.map(({ sequence }) => sequence),
      deliveries.map(({ type }) => type),
      deliveries.map(({ body }) => body),
    ],
  );
}

/** Newest first. */
export async function listDeliveries(
  db: Queryable,
  webhookId: WebhookId,
  after: DeliveryId | undefined,
  limit: number,
): Promise<DeliveryRow[]> {
  const { rows } = await db.query<DeliveryRow>(
    `SELECT * FROM webhook_deliveries d WHERE webhook_id = $1 AND ($2::text IS NULL OR (d.created_at, d.id) <
       (SELECT b.created_at, b.id FROM webhook_deliveries b WHERE b.id = $2 AND b.webhook_id = $1))
     ORDER BY d.created_at DESC, d.id DESC LIMIT $3`,
    [webhookId, after ?? null, limit],
  );
  return rows;
}

/** Throws Failure 'not-found'. */
export async function getDelivery(db: Queryable, webhookId: WebhookId, id: DeliveryId): Promise<DeliveryRow> {
  const { rows } = await db.query<DeliveryRow>('SELECT * FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2', [
    id,
    webhookId,
  ]);
  if (!rows[0]) throw new Failure('not-found', `no delivery ${id}`);
  return rows[0];
}

/** Deletes some of what is older and no longer to be sent. How many. */
export async function forgetDeliveries(db: Queryable, days: number, atOnce: number): Promise<number> {
  const { rowCount } = await db.query(
    `DELETE FROM webhook_deliveries WHERE id = ANY (ARRAY(
       SELECT id FROM webhook_deliveries WHERE state <> 'pending' AND created_at < now() - make_interval(days => $1)
       ORDER BY created_at LIMIT $2))`,
    [days, atOnce],
  );
  return rowCount ?? 0;
}
