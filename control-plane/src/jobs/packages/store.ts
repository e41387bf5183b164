/**
 * Packages on disk, under the SHA-256 of their contents, and in the table `packages` under the tenant's names for them.
 * A file is complete once it has its name: it is written elsewhere, flushed, checked and then moved.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { TenantId } from '@iocloud/contracts';
import { type Database, Failure, type Queryable, type Transaction } from '../../platform/index.js';
import { zipFault } from './archive.js';
import { isZip } from './name.js';

/** Any constant, the same for all replicas: held shared by uploads as they end, alone by the sweep. */
const packagesLock = 7_265_011;
/** An upload that has not ended after so long was cut off by a crash. */
const abandonedUploadMs = 24 * 3_600_000;

export interface StoredPackage {
  name: string;
  sizeBytes: number;
  path: string;
}

export class PackageStore {
  readonly #files: string;
  readonly #uploads: string;

  constructor(
    readonly database: Database,
    dataDir: string,
    readonly maxBytes: number,
    readonly random: (n: number) => Buffer,
  ) {
    this.#files = join(dataDir, 'packages', 'sha256');
    this.#uploads = join(dataDir, 'packages', 'uploads');
  }

  /** Counts as a use: the package is kept for its whole time again. */
  async has(tenantId: TenantId, name: string): Promise<boolean> {
    const { rows } = await this.database.query<{ sha256: string }>({
      name: 'touch-package',
      text: 'UPDATE packages SET used_at = now() WHERE tenant_id = $1 AND name = $2 RETURNING sha256',
      values: [tenantId, name],
    });
    const row = rows[0];
    return row !== undefined && exists(this.#path(row.sha256));
  }

  async find(db: Queryable, tenantId: TenantId, name: string): Promise<StoredPackage | null> {
    const { rows } = await db.query<{ sha256: string; size_bytes: number }>({
      name: 'find-package',
      text: 'SELECT sha256, size_bytes FROM packages WHERE tenant_id = $1 AND name = $2',
      values: [tenantId, name],
    });
    const row = rows[0];
    if (!row || !(await exists(this.#path(row.sha256)))) return null;
    return { name, sizeBytes: row.size_bytes, path: this.#path(row.sha256) };
  }

  read(stored: StoredPackage): Readable {
    return createReadStream(stored.path);
  }

  /**
   * Stores what `body` carries under the tenant's name for it. Durable when it returns. Throws Failure
   * 'payload-too-large', or 'bad-request' for an archive that is not to be unpacked.
   */
  async put(tenantId: TenantId, name: string, body: AsyncIterable<Buffer>): Promise<void> {
    await mkdir(this.#uploads, { recursive: true });
    const upload = join(this.#uploads, this.random(16).toString('hex'));
    try {
      const { sha256, sizeBytes } = await this.#receive(upload, body);
      const fault = isZip(name) ? await zipFault(upload) : null;
      if (fault) throw new Failure('bad-request', `the package ${name} is refused: ${fault}`);
      const path = this.#path(sha256);
      await mkdir(dirname(path), { recursive: true });
      await this.database.transaction(async tx => {
        await tx.query('SELECT pg_advisory_xact_lock_shared($1)', [packagesLock]);
        await rename(upload, path);
        await flush(dirname(path));
        await tx.query(
          `INSERT INTO packages (tenant_id, name, sha256, size_bytes) VALUES ($1, $2, $3, $4)
           ON CONFLICT (tenant_id, name)
           DO UPDATE SET sha256 = EXCLUDED.sha256, size_bytes = EXCLUDED.size_bytes, used_at = now()`,
          [tenantId, name, sha256, sizeBytes],
        );
      });
    } finally {
      await rm(upload, { force: true });
    }
  }

  async #receive(path: string, body: AsyncIterable<Buffer>): Promise<{ sha256: string; sizeBytes: number }> {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of body) {
        sizeBytes += chunk.length;
        if (sizeBytes > this.maxBytes) throw tooLarge(this.maxBytes);
        hash.update(chunk);
        await file.writeFile(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { sha256: hash.digest('hex'), sizeBytes };
  }

  /** Forgets packages that no live job names and nobody has used for so long, and their files. Returns how many. */
  async sweep(unusedSeconds: number, nowMs: number): Promise<number> {
    const forgotten = await this.database.transaction(async (tx: Transaction) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [packagesLock]);
      const { rows } = await tx.query<{ sha256: string }>(
        `DELETE FROM packages p WHERE used_at < now() - make_interval(secs => $1) AND NOT EXISTS (
           SELECT FROM jobs j WHERE j.tenant_id = p.tenant_id AND p.name = ANY(j.packages)
             AND j.phase NOT IN ('succeeded', 'failed', 'stopped'))
         RETURNING sha256`,
        [unusedSeconds],
      );
      const { rows: kept } = await tx.query<{ sha256: string }>('SELECT sha256 FROM packages WHERE sha256 = ANY($1)', [
        rows.map(row => row.sha256),
      ]);
      const needed = new Set(kept.map(row => row.sha256));
      const unneeded = new Set(rows.map(row => row.sha256).filter(sha256 => !needed.has(sha256)));
      // Still under the lock: nobody can be about to name one of these files.
      for (const sha256 of unneeded) await rm(this.#path(sha256), { force: true });
      return rows.length;
    });
    await this.#removeAbandonedUploads(nowMs);
    return forgotten;
  }

  async #removeAbandonedUploads(nowMs: number): Promise<void> {
    for (const name of await readdir(this.#uploads).catch(() => [])) {
      const path = join(this.#uploads, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: nowMs }));
      if (nowMs - mtimeMs > abandonedUploadMs) await rm(path, { force: true });
    }
  }

  #path(sha256: string): string {
    return join(this.#files, sha256.slice(0, 2), sha256);
  }
}

export function tooLarge(maxBytes: number): Failure {
  return new Failure(
    'payload-too-large',
    `the package is larger than the ${maxBytes} bytes that are taken here (IOCLOUD_MAX_PACKAGE_BYTES); leave out large files (runtime_env "excludes")` +
      ' or have the job fetch them from storage',
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/** A rename is durable once its folder is. */
async function flush(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
