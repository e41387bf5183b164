/**
 * Sends what is due, again and again until it has arrived or is given up. A message under way is taken by moving the time
 * of its next attempt: should this process die meanwhile, another comes to it then. So each arrives at least once, in no
 * promised order. Any replica may send.
 */
import { nextState, pauseMs } from '../core/webhooks/index.js';
import { recordEvent } from '../events/index.js';
import {
  type Database,
  type Destinations,
  type Logger,
  Recurring,
  type Seal,
  type Transaction,
} from '../platform/index.js';
import { takeIn } from './intake.js';
import { countAttempt } from './metrics.js';
import { type Outcome, send } from './send.js';
import { signatures } from './signature.js';
import { type DeliveryRow, disableWebhook, forgetDeliveries, type WebhookRow } from './store.js';

const lookIntervalMs = 1_000;
const atOnce = 32;
const atOnceToOne = 4;
/** Longer than an attempt may take. */
const takenSeconds = 60;
const forgetEveryTurns = 600;
const forgottenAtOnce = 10_000;
const gone = 410;

export interface SenderWiring {
  database: Database;
  seal: Seal;
  destinations: Destinations;
  random: (n: number) => Uint8Array;
  /** From 0 to below 1. */
  chance(): number;
  clockMs(): number;
  nowMs(): number;
  log: Logger;
  logDays: number;
  userAgent: string;
}

export type Taken = DeliveryRow &
  Pick<WebhookRow, 'tenant_id' | 'url' | 'sealed_secret' | 'sealed_previous' | 'previous_until'>;

export class Sender {
  readonly #underWay = new Map<string, { webhookId: string; done: Promise<void> }>();
  readonly #ending = new AbortController();
  readonly #recurring: Recurring;
  #filling: Promise<void> = Promise.resolve();
  #turns = 0;

  constructor(readonly wiring: SenderWiring) {
    this.#recurring = new Recurring(
      'webhooks',
      lookIntervalMs,
      isStopped => this.turn(isStopped),
      error => wiring.log.warn({ err: error }, 'webhooks could not be looked after; again soon'),
    );
  }

  start(): void {
    this.#recurring.start();
  }

  /** What is under way is cut off; it is sent again after the next start. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#recurring.stop();
    await this.idle();
  }

  /** Resolves when nothing that could be sent now is left. */
  async idle(): Promise<void> {
    do {
      await Promise.all([...this.#underWay.values()].map(({ done }) => done));
      await this.#filling;
    } while (this.#underWay.size > 0);
  }

  async turn(isStopped: () => boolean): Promise<void> {
    const { database, random, logDays } = this.wiring;
    await takeIn(database, random, isStopped);
    await this.#fill();
    if (this.#turns++ % forgetEveryTurns > 0) return;
    while (!isStopped() && (await forgetDeliveries(database, logDays, forgottenAtOnce)) === forgottenAtOnce);
  }

  /** Begins with all that there is room for; what has come to its end makes room for the next. One at a time. */
  #fill(): Promise<void> {
    this.#filling = this.#filling.then(async () => {
      const room = atOnce - this.#underWay.size;
      if (room === 0 || this.#ending.signal.aborted) return;
      for (const each of await this.#take(room)) this.#begin(each);
    });
    const filled = this.#filling;
    // The next does not fail for what this one failed for.
    this.#filling = filled.catch(() => undefined);
    return filled;
  }

  #begin(taken: Taken): void {
    const done = this.attempt(taken)
      .then(() => undefined)
      .catch((error: unknown) => {
        // It stays due, and comes again.
        if (!this.#ending.signal.aborted)
          this.wiring.log.warn({ err: error, delivery: taken.id }, 'an attempt was lost');
      })
      .then(() => {
        this.#underWay.delete(taken.id);
        return this.#fill();
      })
      .catch((error: unknown) => this.wiring.log.warn({ err: error }, 'what is due next was not found; again soon'));
    this.#underWay.set(taken.id, { webhookId: taken.webhook_id, done });
  }

  /** The next that are due, of no webhook more than a few at a time. */
  async #take(limit: number): Promise<Taken[]> {
    const counts = new Map<string, number>();
    for (const { webhookId } of this.#underWay.values()) counts.set(webhookId, (counts.get(webhookId) ?? 0) + 1);
    const { rows } = await this.wiring.database.query<Taken>(
      `WITH due AS (
         SELECT d.id FROM webhooks w
         LEFT JOIN unnest($2::text[], $3::int[]) AS busy (id, count) ON busy.id = w.id
         CROSS JOIN LATERAL (
           SELECT id, next_at FROM webhook_deliveries
           WHERE webhook_id = w.id AND state = 'pending' AND next_at <= now()
           ORDER BY next_at LIMIT greatest(0, $4 - coalesce(busy.count, 0)) FOR NO KEY UPDATE SKIP LOCKED) d
         WHERE w.disabled_at IS NULL ORDER BY d.next_at LIMIT $1)
       UPDATE webhook_deliveries d SET attempts = d.attempts + 1, last_at = now(), next_at = now() + make_interval(secs => $5)
       FROM due, webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
       RETURNING d.*, w.tenant_id, w.url, w.sealed_secret, w.sealed_previous, w.previous_until`,
      [limit, [...counts.keys()], [...counts.values()], atOnceToOne, takenSeconds],
    );
    return rows;
  }

  /** Sends one that has been taken, and writes down what came of it. `last`: it is not sent again. */
  async attempt(taken: Taken, last = false): Promise<Outcome> {
    const { destinations, clockMs } = this.wiring;
    const message = { id: taken.id, url: taken.url, body: taken.body, headers: this.#headers(taken) };
    const outcome = await send(message, destinations, this.#ending.signal, clockMs);
    await this.wiring.database.transaction(tx => this.#note(tx, taken, outcome, last));
    return outcome;
  }

  #headers({ id, webhook_id, body, sealed_secret, sealed_previous, previous_until }: Taken): Record<string, string> {
    const { seal, nowMs, userAgent } = this.wiring;
    const now = nowMs();
    const sealed = [
      sealed_secret,
      ...(sealed_previous && previous_until && previous_until.getTime() > now ? [sealed_previous] : []),
    ];
    const timestamp = Math.floor(now / 1_000);
    return {
      'Content-Type': 'application/json',
      'User-Agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatures(
        sealed.map(secret => seal.open(secret, webhook_id)),
        id,
        timestamp,
        body,
      ),
    };
  }

  async #note(tx: Transaction, taken: Taken, { status, error, retryAfterMs, durationMs }: Outcome, last: boolean) {
    const { rows } = await tx.query<Pick<WebhookRow, 'delivered_at' | 'disabled_at'>>(
      'SELECT delivered_at, disabled_at FROM webhooks WHERE id = $1 FOR NO KEY UPDATE',
      [taken.webhook_id],
    );
    const pause = last || status === gone ? null : pauseMs(taken.attempts, this.wiring.chance(), retryAfterMs);
    const event = error === null ? 'arrived' : pause === null ? 'givenUp' : 'missed';
    countAttempt(tx, event);
    const { rows: states } = await tx.query<Pick<DeliveryRow, 'state'>>(
      'SELECT state FROM webhook_deliveries WHERE id = $1 FOR NO KEY UPDATE',
      [taken.id],
    );
    const state = states[0] && nextState(states[0].state, event);
    // Removed, or ended otherwise meanwhile.
    if (!rows[0] || !state) return;
    await tx.query(
      `UPDATE webhook_deliveries SET state = $2, last_status = $3, last_error = $4, last_ms = $5,
         next_at = CASE WHEN $2 = 'pending' THEN now() + make_interval(secs => $6::float8 / 1000) END
       WHERE id = $1`,
      [taken.id, state, status, error, durationMs, pause ?? 0],
    );
    await tx.query(
      error === null
        ? 'UPDATE webhooks SET delivered_at = now(), failing_since = NULL WHERE id = $1'
        : 'UPDATE webhooks SET failing_since = coalesce(failing_since, now()) WHERE id = $1',
      [taken.webhook_id],
    );
    const { delivered_at, disabled_at } = rows[0];
    const silent = event === 'givenUp' && !last && (delivered_at === null || delivered_at < taken.created_at);
    if (disabled_at === null && (status === gone || silent)) await this.#disable(tx, taken, status);
  }

  async #disable(tx: Transaction, taken: Taken, status: number | null): Promise<void> {
    const reason =
      status === gone ? 'it answered 410: gone' : `nothing has arrived there since ${taken.created_at.toISOString()}`;
    await disableWebhook(tx, taken.webhook_id, reason);
    await recordEvent(tx, {
      tenantId: taken.tenant_id,
      subjectKind: 'account',
      subject: taken.tenant_id,
      reason: 'WebhookDisabled',
      message: `webhook ${taken.webhook_id} gets nothing any more: ${reason}`,
      severity: 'warning',
    });
  }
}
