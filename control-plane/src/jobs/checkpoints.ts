/**
 * The directories in which jobs keep their checkpoints, where they are directories: made before an attempt starts, removed
 * with the job. Behind a URL (an object store) jobs make their own, and a life-cycle rule of the store removes them.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobId, TenantId } from '@iocloud/contracts';
import type { Logger, Queryable } from '../platform/index.js';
import { checkpointDir, isUrl } from './attempts/environment.js';

/** A directory may be made just before its job is seen by another reader. Milliseconds. */
const sweepAgeMs = 3_600_000;

export class Checkpoints {
  constructor(
    readonly root: string,
    readonly database: Queryable,
    readonly log: Logger,
  ) {}

  /** Where the root is not mounted on this machine the job makes its directory itself. */
  async make(job: { id: JobId; tenant_id: TenantId }): Promise<void> {
    if (isUrl(this.root)) return;
    await mkdir(checkpointDir(this.root, job.tenant_id, job.id), { recursive: true, mode: 0o700 }).catch(
      (error: unknown) =>
        this.log.warn({ job: job.id, error: String(error) }, 'a checkpoint directory could not be made here'),
    );
  }

  async remove(job: { id: JobId; tenant_id: TenantId }): Promise<void> {
    if (isUrl(this.root)) return;
    await rm(checkpointDir(this.root, job.tenant_id, job.id), { recursive: true, force: true }).catch(
      (error: unknown) =>
        this.log.warn(
          { job: job.id, error: String(error) },
          'checkpoints of a deleted job remain; the sweep tries again',
        ),
    );
  }

  /** Removes those whose job exists no more: its deletion was cut short. */
  async sweep(nowMs: number): Promise<void> {
    if (isUrl(this.root)) return;
    for (const tenant of await readdir(this.root).catch(() => [])) {
      if (!/^tn_[0-9a-z]{20}$/.test(tenant)) continue;
      const here = (await readdir(join(this.root, tenant)).catch(() => [])).filter(name =>
        /^jb_[0-9a-z]{20}$/.test(name),
      );
      const { rows } = await this.database.query<{ id: string }>('SELECT id FROM jobs WHERE id = ANY($1)', [here]);
      const kept = new Set(rows.map(row => row.id));
      for (const name of here.filter(candidate => !kept.has(candidate))) {
        const directory = join(this.root, tenant, name);
        const { mtimeMs } = await stat(directory);
        if (nowMs - mtimeMs > sweepAgeMs) await rm(directory, { recursive: true, force: true });
      }
    }
  }
}
