/**
 * The whole list of a tenant's jobs, as Ray's API has it: some megabytes for ten thousand jobs, asked for again and again
 * by scripts and pages that watch. Indices of arrays are left out: their array speaks for them. It is put together anew only when a job of the tenant has changed.
 */
import type { TenantId } from '@iocloud/contracts';
import type { Database } from '../platform/index.js';

/** Of all lists together; the one not asked for longest goes first. */
const maxKeptBytes = 64 * 2 ** 20;

export class JobList {
  /** In the order of their last use. */
  readonly #kept = new Map<TenantId, { version: string; body: Buffer }>();
  #keptBytes = 0;

  constructor(readonly database: Database) {}

  /** JSON text, never older than the call. */
  async of(tenantId: TenantId): Promise<Buffer> {
    // Before the list: one that changes in between is put together again at the next call.
    const version = await this.#version(tenantId);
    const kept = this.#kept.get(tenantId);
    const body = kept?.version === version ? kept.body : await this.#read(tenantId);
    this.#keep(tenantId, { version, body });
    return body;
  }

  /**
   * Differs whenever a row has been inserted, changed or deleted: a row carries the id of the transaction that wrote it
   * last (xmin), which only grows. So a change raises the sum, and where as many rows went as came, those that came are
   * the younger.
   */
  async #version(tenantId: TenantId): Promise<string> {
    const { rows } = await this.database.query<{ version: string }>({
      name: 'job-list-version',
      text: `SELECT count(*) || ' ' || coalesce(sum(xmin::text::bigint), 0) AS version FROM jobs
             WHERE tenant_id = $1 AND array_id IS NULL`,
      values: [tenantId],
    });
    return rows[0]?.version ?? '';
  }

  /** Put together by the database: no job is parsed on the way. */
  async #read(tenantId: TenantId): Promise<Buffer> {
    const { rows } = await this.database.query<{ list: string | null }>({
      name: 'list-ray-views',
      text: `SELECT string_agg(ray_view, ', ' ORDER BY submitted_at, id) AS list FROM jobs
             WHERE tenant_id = $1 AND array_id IS NULL`,
      values: [tenantId],
    });
    return Buffer.from(`[${rows[0]?.list ?? ''}]`);
  }

  #keep(tenantId: TenantId, entry: { version: string; body: Buffer }): void {
    this.#drop(tenantId);
    this.#kept.set(tenantId, entry);
    this.#keptBytes += entry.body.length;
    for (const [oldest] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(tenantId: TenantId): void {
    this.#keptBytes -= this.#kept.get(tenantId)?.body.length ?? 0;
    this.#kept.delete(tenantId);
  }
}
