/**
 * The record of calls that were refused: without a valid key, without the right to it, or on what belongs to another
 * tenant. Whoever owns what they aimed at is told. Written within a second or so, apart from the calls: a process that
 * is killed loses what it has not written yet.
 */
import type { IncomingMessage } from 'node:http';
import { api, type EventSubject, idPrefixes, type Refusal, type TenantId } from '@iocloud/contracts';
import { recordEvents } from '../events/index.js';
import {
  type Database,
  type Http,
  type Logger,
  type Queryable,
  Recurring,
  type RefusedCall,
} from '../platform/index.js';
import { parseApiKey } from './api-key.js';
import { bearerToken } from './authenticate.js';

const flushIntervalMs = 1_000;
/**
 * Unlike refusals that are taken in a minute, of callers that are known and of others: what more there are is counted and
 * said in the log, so that nobody can fill the database by being refused.
 */
const mostKinds = 1_000;
const deletedAtOnce = 10_000;
const hourMs = 3_600_000;

interface Kind {
  operation: string;
  target: string;
  callerTenantId: TenantId | null;
  keyId: string;
  address: string;
  outcome: Refusal['outcome'];
}

export class Refusals {
  #counts = new Map<string, { kind: Kind; count: number }>();
  #unrecorded = 0;
  #minute = 0;
  /** Of this minute. */
  readonly #kinds = { known: new Set<string>(), unknown: new Set<string>() };
  /** In which minute the owner of a thing was told last. */
  readonly #told = new Map<string, number>();
  #forgetAtMs = 0;
  readonly #writing: Recurring;

  constructor(
    readonly database: Database,
    readonly log: Logger,
    readonly nowMs: () => number,
    readonly keptDays: number,
  ) {
    const failed = (error: unknown) => log.warn({ err: error }, 'refused calls could not be recorded; again soon');
    this.#writing = new Recurring('refusals', flushIntervalMs, isStopped => this.#turn(isStopped), failed);
  }

  start(): void {
    this.#writing.start();
  }

  async stop(): Promise<void> {
    await this.#writing.stop();
    await this.flush();
  }

  /** Takes note of one. Never throws and never waits: the answer to the call does not depend on it. */
  readonly note = ({ operation, target, method, code, caller, request }: RefusedCall): void => {
    if (code !== 'unauthenticated' && code !== 'permission-denied' && code !== 'not-found') return;
    // A name that is mistyped is no attack; what exists and is somebody else's has an id that nobody guesses.
    if (code === 'not-found' && (method === 'GET' || !isGlobalId(target))) return;
    this.add({
      operation,
      target: target.slice(0, 128),
      callerTenantId: caller?.tenantId ?? null,
      keyId: caller?.keyId ?? claimedKey(request),
      address: request.socket.remoteAddress ?? '',
      outcome: code,
    });
  };

  /** An agent that could not prove the key of the machine that it said it was. */
  readonly noteAgent = (nodeId: string, address: string): void =>
    this.add({
      operation: 'agent-connection',
      target: nodeId.slice(0, 128),
      callerTenantId: null,
      keyId: '',
      address,
      outcome: 'unauthenticated',
    });

  add(kind: Kind): void {
    const minute = minuteOf(this.nowMs());
    if (minute !== this.#minute) for (const kinds of Object.values(this.#kinds)) kinds.clear();
    this.#minute = minute;
    const name = JSON.stringify(kind);
    const kinds = this.#kinds[kind.callerTenantId === null ? 'unknown' : 'known'];
    if (!kinds.has(name) && kinds.size >= mostKinds) {
      this.#unrecorded += 1;
      return;
    }
    kinds.add(name);
    const count = this.#counts.get(name)?.count ?? 0;
    this.#counts.set(name, { kind, count: count + 1 });
  }

  async #turn(isStopped: () => boolean): Promise<void> {
    await this.flush();
    if (this.nowMs() < this.#forgetAtMs) return;
    this.#forgetAtMs = this.nowMs() + hourMs;
    while (!isStopped() && (await forgetOld(this.database, this.keptDays)));
  }

  async flush(): Promise<void> {
    const counts = this.#counts;
    if (this.#unrecorded > 0) {
      this.log.warn({ calls: this.#unrecorded }, 'more unlike calls were refused in a minute than are recorded');
      this.#unrecorded = 0;
    }
    if (counts.size === 0) return;
    this.#counts = new Map();
    try {
      await this.#record([...counts.values()]);
    } catch (error) {
      // Back to where they were, for the next turn.
      for (const [name, { kind, count }] of counts) {
        this.#counts.set(name, { kind, count: count + (this.#counts.get(name)?.count ?? 0) });
      }
      throw error;
    }
  }

  async #record(refused: { kind: Kind; count: number }[]): Promise<void> {
    const minute = minuteOf(this.nowMs());
    await this.database.transaction(async tx => {
      const { rows } = await tx.query<{ target: string; owner: TenantId; operation: string; address: string }>({
        name: 'record-refusals',
        text: `WITH calls AS (
                 SELECT c.operation, c.caller, c.address, c.outcome, sum(c.count)::int AS count,
                   coalesce(n.tenant_id, cl.tenant_id, u.tenant_id, k.tenant_id, t.id) AS owner,
                   -- What strangers make up takes no row of its own.
                   CASE WHEN c.caller IS NOT NULL OR coalesce(n.id, cl.id, u.id, k.id, t.id) IS NOT NULL THEN c.target
                     ELSE '' END AS target,
                   coalesce(claimed.id, '') AS key_id
                 FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[])
                   AS c (operation, target, caller, key_id, address, outcome, count)
                 LEFT JOIN nodes n ON n.id = c.target LEFT JOIN clusters cl ON cl.id = c.target
                 LEFT JOIN users u ON u.id = c.target LEFT JOIN api_keys k ON k.id = c.target
                 LEFT JOIN tenants t ON t.id = c.target LEFT JOIN api_keys claimed ON claimed.id = c.key_id
                 GROUP BY c.operation, c.caller, c.address, c.outcome, owner, 7, 8),
               recorded AS (
                 INSERT INTO refused_calls AS r (minute, operation, target, target_tenant_id, caller_tenant_id, key_id,
                   address, outcome, count)
                 SELECT $1, operation, target, owner, caller, key_id, address, outcome, count FROM calls
                 -- What is not there, or was the caller's own and has gone, is not found by anybody.
                 WHERE outcome <> 'not-found' OR (owner IS NOT NULL AND owner IS DISTINCT FROM caller)
                 ON CONFLICT (minute, operation, target, key_id, address, outcome)
                   DO UPDATE SET count = r.count + excluded.count
                 RETURNING target, target_tenant_id, caller_tenant_id, operation, address)
               SELECT DISTINCT ON (target) target, target_tenant_id AS owner, operation, address FROM recorded
               WHERE target_tenant_id IS NOT NULL AND target_tenant_id IS DISTINCT FROM caller_tenant_id
               ORDER BY target, operation`,
        values: [
          new Date(minute * 60_000),
          refused.map(({ kind }) => kind.operation),
          refused.map(({ kind }) => kind.target),
          refused.map(({ kind }) => kind.callerTenantId),
          refused.map(({ kind }) => kind.keyId),
          refused.map(({ kind }) => kind.address),
          refused.map(({ kind }) => kind.outcome),
          refused.map(({ count }) => count),
        ],
      });
      const news = rows.filter(({ target }) => this.#told.get(target) !== minute);
      if (news.length === 0) return;
      await recordEvents(
        tx,
        news.map(({ target, owner, operation, address }) => ({
          tenantId: owner,
          subjectKind: subjectOf(target),
          subject: target,
          reason: 'AccessRefused',
          message: `${operation} was tried from ${address} without the right to it, and refused; \`iocloud audit\` has more`,
          severity: 'warning' as const,
        })),
      );
      for (const [target, toldIn] of this.#told) if (toldIn < minute) this.#told.delete(target);
      for (const { target } of news) this.#told.set(target, minute);
    });
  }
}

const minuteOf = (ms: number) => Math.floor(ms / 60_000);
const subjects: Record<string, EventSubject> = { [idPrefixes.node]: 'node', [idPrefixes.cluster]: 'cluster' };
const subjectOf = (id: string): EventSubject => subjects[id.slice(0, 2)] ?? 'account';
const globalPrefixes: readonly string[] = [
  idPrefixes.node,
  idPrefixes.cluster,
  idPrefixes.user,
  idPrefixes.apiKey,
  idPrefixes.tenant,
];
const isGlobalId = (text: string) => text[2] === '_' && globalPrefixes.includes(text.slice(0, 2));

/** The id of a key of which the secret, or its time, was wrong; empty where there is none. */
function claimedKey(request: IncomingMessage): string {
  return parseApiKey(bearerToken(request) ?? '')?.id ?? '';
}

/** Returns whether there may be more. */
async function forgetOld(db: Queryable, keptDays: number): Promise<boolean> {
  const { rowCount } = await db.query(
    `DELETE FROM refused_calls WHERE id = ANY(ARRAY(
       SELECT id FROM refused_calls WHERE minute < now() - make_interval(days => $1) ORDER BY minute LIMIT $2))`,
    [keptDays, deletedAtOnce],
  );
  return rowCount === deletedAtOnce;
}

export function refusalRoutes(http: Http, database: Database): void {
  http.handle(api.listRefusals, async ({ caller, query }) => {
    // Of another tenant's key its owner is not named: that it was another's is what the owner of the target has to know.
    const { rows } = await database.query<{
      id: string;
      minute: Date;
      operation: string;
      target: string;
      outcome: Refusal['outcome'];
      count: number;
      address: string;
      by: Refusal['by'];
      key_id: string | null;
    }>(
      `SELECT r.id::text, r.minute, r.operation, r.target, r.outcome, r.count, r.address,
         CASE WHEN k.tenant_id = $1 THEN 'ours' WHEN k.tenant_id IS NOT NULL THEN 'others' ELSE 'unknown' END AS by,
         CASE WHEN k.tenant_id = $1 THEN r.key_id END AS key_id
       FROM refused_calls r LEFT JOIN api_keys k ON k.id = r.key_id
       WHERE (r.target_tenant_id = $1 OR k.tenant_id = $1) AND ($2::bigint IS NULL OR r.id < $2)
         AND ($4::timestamptz IS NULL OR r.minute >= $4)
       ORDER BY r.id DESC LIMIT $3`,
      [caller.tenantId, query.after ?? null, query.limit, query.since ?? null],
    );
    const items = rows.map(({ minute, target, key_id, ...row }) => ({
      ...row,
      at: minute.toISOString(),
      target: target === '' ? null : target,
      keyId: key_id as Refusal['keyId'],
    }));
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });
}
