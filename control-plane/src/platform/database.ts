/** PostgreSQL: one pool, transactions, and migrations that run at start under a lock. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import type { Logger } from './log.js';
import { counter, Durations, gauge, workBuckets } from './metrics.js';

/** What runs a statement: the pool itself, or a transaction's connection. */
export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>;
}
/** A connection inside a transaction. Its own type, so that a write that must be atomic cannot be given the pool. */
export interface Transaction extends Queryable {
  readonly transaction: true;
}

const queries = new Durations(
  'iocloud_postgres_query_duration_seconds',
  'Statements outside of transactions, waiting for a connection included',
  [],
  workBuckets,
);
const transactions = new Durations(
  'iocloud_postgres_transaction_duration_seconds',
  'Transactions from the connection to their end',
  [],
  workBuckets,
);
const failures = counter('iocloud_postgres_errors_total', 'Statements and transactions that failed', ['kind']);

/** Of this process; benchmarks and tests have several. */
const pools = new Set<pg.Pool>();
const ofPools = (value: (pool: pg.Pool) => number) => [...pools].reduce((sum, pool) => sum + value(pool), 0);
gauge('iocloud_postgres_connections', 'Connections of the pool', ['state'], function () {
  const idle = ofPools(pool => pool.idleCount);
  this.set({ state: 'idle' }, idle);
  this.set({ state: 'in_use' }, ofPools(pool => pool.totalCount) - idle);
});
gauge('iocloud_postgres_connections_limit', 'As many as the pool may have', [], function () {
  this.set(ofPools(pool => pool.options.max));
});
gauge('iocloud_postgres_connection_waiters', 'Callers that wait for a connection', [], function () {
  this.set(ofPools(pool => pool.waitingCount));
});

const databaseBytes = gauge('iocloud_postgres_database_bytes', 'Size of the database');
/** For metrics. */
export const databaseState = {
  name: 'postgres',
  read: async (db: Queryable): Promise<void> => {
    const { rows } = await db.query<{ bytes: number }>('SELECT pg_database_size(current_database()) AS bytes');
    databaseBytes.set(rows[0]?.bytes ?? 0);
  },
};

const afterwards = new WeakMap<Queryable, (() => void)[]>();

/** Runs `work`, which may not fail, once the transaction has committed; at once where there is none. */
export function afterCommit(tx: Queryable, work: () => void): void {
  const waiting = afterwards.get(tx);
  if (waiting) waiting.push(work);
  else work();
}

async function timed<T>(kind: 'query' | 'transaction', work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await work();
  } catch (error) {
    failures.inc({ kind });
    throw error;
  } finally {
    (kind === 'query' ? queries : transactions).observe({}, (performance.now() - startedMs) / 1_000);
  }
}

const int8 = 20;

/** bigint columns hold byte counts and sequence numbers; one past 2^53 would be a fault, never rounded in silence. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a number`);
  return value;
}

/**
 * PostgreSQL has refused a statement for what it says (data exception, broken constraint): its transaction has changed
 * nothing, which a broken connection does not tell.
 */
export const isRefusedStatement = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && /^2[23]/.test(error.code ?? '');

export class Database implements Queryable {
  readonly pool: pg.Pool;

  constructor(
    readonly url: string,
    log: Logger,
    maxConnections = 20,
  ) {
    this.pool = new pg.Pool({
      connectionString: url,
      max: maxConnections,
      connectionTimeoutMillis: 10_000,
      types: {
        // biome-ignore lint/suspicious/noExplicitAny: pg types its parsers so
        getTypeParser: (oid: number, format?: any) =>
          oid === int8 && format !== 'binary' ? parseInt8 : pg.types.getTypeParser(oid, format),
      },
    });
    pools.add(this.pool);
    // A connection that breaks while idle (the server was killed) is replaced by the pool at the next use.
    this.pool.on('error', error => log.warn({ error: error.message }, 'an idle PostgreSQL connection broke'));
  }

  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string | pg.QueryConfig, values?: unknown[]) {
    return timed('query', () => this.pool.query<Row>(text, values));
  }

  /** Runs `work` in one transaction: commits what it returns, rolls back what it throws. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return timed('transaction', () => this.#transaction(work));
  }

  async #transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    const onError = (error: Error) => {
      broken = error;
    };
    client.on('error', onError);
    const then: (() => void)[] = [];
    afterwards.set(client, then);
    try {
      await client.query('BEGIN');
      const result = await work(Object.assign(client, { transaction: true as const }));
      await client.query('COMMIT');
      for (const each of then) each();
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      afterwards.delete(client);
      client.off('error', onError);
      client.release(broken);
    }
  }

  /**
   * Runs `work`, which commits as it goes, while no other replica runs what has the same lock. False: another is at it. A
   * connection that breaks meanwhile takes the lock with it, and breaks nothing else.
   */
  async alone(lock: number, work: () => Promise<void>): Promise<boolean> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    const onError = (error: Error) => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [lock]);
      if (!rows[0]?.mine) return false;
      try {
        await work();
      } finally {
        await client.query('SELECT pg_advisory_unlock($1)', [lock]).catch(onError);
      }
      return true;
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    pools.delete(this.pool);
    await this.pool.end();
  }
}

export async function appliedMigrations(db: Queryable): Promise<{ name: string; appliedAt: string }[]> {
  const { rows } = await db.query<{ name: string; applied_at: Date }>(
    'SELECT name, applied_at FROM schema_migrations ORDER BY name',
  );
  return rows.map(row => ({ name: row.name, appliedAt: row.applied_at.toISOString() }));
}

/** False: another replica has it. Held until the transaction ends. */
export async function takeLock(tx: Transaction, lock: number): Promise<boolean> {
  const { rows } = await tx.query<{ mine: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS mine', [lock]);
  return rows[0]?.mine ?? false;
}

/** Any constant will do, as long as every replica takes the same. */
const migrationLock = 7_265_001;

/**
 * Applies the numbered files of `directory` that the database has not seen, in order, each in its own transaction,
 * under one advisory lock, so that replicas that start together migrate once. Forward only; a file that was changed
 * after it was applied stops the start.
 */
export async function migrate(database: Database, directory: URL, log: Logger): Promise<void> {
  const files = (await readdir(directory)).filter(name => /^\d{4}_\w+\.sql$/.test(name)).sort();
  const client = await database.pool.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    await client.query(
      `CREATE TABLE IF NOT EXISTS schema_migrations (
         name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const seen = await client.query<{ name: string; sha256: string }>('SELECT name, sha256 FROM schema_migrations');
    const applied = new Map(seen.rows.map(row => [row.name, row.sha256]));
    for (const name of files) {
      const sql = await readFile(new URL(name, directory), 'utf8');
      const sha256 = createHash('sha256').update(sql).digest('hex');
      const before = applied.get(name);
      if (before === sha256) continue;
      if (before !== undefined) {
        throw new Error(`migration ${name} was changed after it had been applied: write a new one instead`);
      }
      await client.query('BEGIN');
      try {
        await client.query(sql);
        await client.query('INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)', [name, sha256]);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw new Error(`migration ${name} failed`, { cause: error });
      }
      log.info({ migration: name }, 'migrated');
    }
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [migrationLock]).catch(() => undefined);
    client.release();
  }
}
