/**
 * The whole list of a tenant's jobs, as Ray's API has it: some megabytes for ten thousand jobs, asked for again and again
 * by scripts and pages that watch. Indices of arrays are left out: their array speaks for them. It is put together anew only when a job of the tenant has changed.
 */
import type { TenantId } from '@iocloud/contracts';
import type { Database } from '../platform/index.js';
import type { Mega } from './entrances.js';

/** Of all lists together; the one not asked for longest goes first. */
const maxKeptBytes = 64 * 2 ** 20;

export class JobList {
  /** In the order of their last use. */
  readonly #kept = new Map<string, { version: string; body: Buffer }>();
  #keptBytes = 0;

  constructor(readonly database: Database) {}

  /** JSON text, never older than the call. `mega`: of the jobs that are bound to this one alone. */
  async of(tenantId: TenantId, mega: Mega | null): Promise<Buffer> {
    const key = `${tenantId} ${mega?.id ?? ''}`;
    const among = [tenantId, mega && [mega.id, mega.name]];
    // Before the list: one that changes in between is put together again at the next call.
    const version = await this.#version(among);
    const kept = this.#kept.get(key);
    const body = kept?.version === version ? kept.body : await this.#read(among);
    this.#keep(key, { version, body });
    return body;
  }

  /**
   * Differs whenever a row has been inserted, changed or deleted: a row carries the id of the transaction that wrote it
   * last (xmin), which only grows. So a change raises the sum, and where as many rows went as came, those that came are
   * the younger.
   */
  async #version(among: unknown[]): Promise<string> {
    const { rows } = await this.database.query<{ version: string }>({
      name: 'job-list-version',
      text: `SELECT count(*) || ' ' || coalesce(sum(xmin::text::bigint), 0) AS version FROM jobs
             WHERE tenant_id = $1 AND array_id IS NULL AND ($2::text[] IS NULL OR wanted_cluster = ANY($2))`,
      values: among,
    });
    return rows[0]?.version ?? '';
  }

  /** Put together by the database: no job is parsed on the way. */
  async #read(among: unknown[]): Promise<Buffer> {
    const { rows } = await this.database.query<{ list: string | null }>({
      name: 'list-ray-views',
      text: `SELECT string_agg(ray_view, ', ' ORDER BY submitted_at, id) AS list FROM jobs
             WHERE tenant_id = $1 AND array_id IS NULL AND ($2::text[] IS NULL OR wanted_cluster = ANY($2))`,
      values: among,
    });
    return Buffer.from(`[${rows[0]?.list ?? ''}]`);
  }

  #keep(key: string, entry: { version: string; body: Buffer }): void {
    this.#drop(key);
    this.#kept.set(key, entry);
    this.#keptBytes += entry.body.length;
    for (const [oldest] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#keptBytes -= this.#kept.get(key)?.body.length ?? 0;
    this.#kept.delete(key);
  }
}
