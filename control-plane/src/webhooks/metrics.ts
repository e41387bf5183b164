/** Webhooks and what waits for them. */
import { afterCommit, counter, gauge, type StateSource, setAll, type Transaction } from '../platform/index.js';

const webhooks = gauge('iocloud_webhooks', 'Registered webhooks', ['state']);
const deliveries = gauge('iocloud_webhook_deliveries', 'Messages that wait, and those that were given up', ['state']);
const overdue = gauge('iocloud_webhook_deliveries_overdue_seconds', 'How late the next attempt is; 0: none is');
const attempts = counter('iocloud_webhook_attempts_total', 'Attempts to send', ['result']);

const results = { arrived: 'delivered', missed: 'missed', givenUp: 'given_up' } as const;

export const countAttempt = (tx: Transaction, event: keyof typeof results): void =>
  afterCommit(tx, () => attempts.inc({ result: results[event] }));

export const webhookState: StateSource = {
  name: 'webhooks',
  read: async db => {
    const { rows } = await db.query<{ working: number; failing: number; disabled: number }>(
      `SELECT count(*) FILTER (WHERE disabled_at IS NOT NULL)::int AS disabled,
         count(*) FILTER (WHERE disabled_at IS NULL AND failing_since IS NOT NULL)::int AS failing,
         count(*) FILTER (WHERE disabled_at IS NULL AND failing_since IS NULL)::int AS working FROM webhooks`,
    );
    const counts = rows[0] ?? { working: 0, failing: 0, disabled: 0 };
    setAll(
      webhooks,
      Object.entries(counts).map(([state, value]) => ({ labels: { state }, value })),
    );
    const { rows: waiting } = await db.query<{ pending: number; failed: number; late: number | null }>(
      `SELECT count(*) FILTER (WHERE d.state = 'pending')::int AS pending,
         count(*) FILTER (WHERE d.state = 'failed')::int AS failed,
         extract(epoch FROM now() - min(d.next_at) FILTER (WHERE w.disabled_at IS NULL))::float8 AS late
       FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.state <> 'delivered'`,
    );
    const { pending = 0, failed = 0, late = null } = waiting[0] ?? {};
    setAll(deliveries, [
      { labels: { state: 'pending' }, value: pending },
      { labels: { state: 'failed' }, value: failed },
    ]);
    overdue.set(Math.max(0, late ?? 0));
  },
};
