/** Published releases of the agent: signed manifests and their archives, in PostgreSQL, so that every replica has them. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentRelease, type ReleaseManifest, releaseManifest } from '@iocloud/contracts';
import { isSignedRelease } from '@iocloud/contracts/wire';
import { Failure, type Queryable } from '../platform/index.js';
import { keyInForce } from './keys.js';

interface Signed {
  manifest: string;
  signature: string;
  archive: Buffer;
}

interface ReleaseRow {
  serial: number;
  version: string;
  floor: number;
  sha256: string;
  bytes: number;
  published_at: Date;
  nodes: number;
}

const columns = `r.serial, r.version, r.floor, r.sha256, length(r.archive) AS bytes, r.published_at,
  (SELECT count(*)::int FROM nodes n WHERE n.agent_serial = r.serial AND n.removed_at IS NULL) AS nodes`;

const shown = (row: ReleaseRow): AgentRelease => ({
  version: row.version,
  serial: row.serial,
  floor: row.floor,
  sha256: row.sha256,
  bytes: row.bytes,
  publishedAt: row.published_at.toISOString(),
  nodes: row.nodes,
});

/** Throws Failure 'unsatisfiable' for what no machine would take. May be said again, with a newer signature too. */
export async function publish(db: Queryable, { manifest: text, signature, archive }: Signed): Promise<AgentRelease> {
  const key = await keyInForce(db);
  if (key === null) throw new Failure('conflict', 'there is no release key: set IOCLOUD_AGENT_RELEASE_KEY');
  if (!isSignedRelease(text, signature, key)) {
    throw new Failure(
      'unsatisfiable',
      'the manifest is not signed by the release key in force (`iocloud agent-release keys`)',
    );
  }
  const { version, serial, floor, sha256 } = parsed(text);
  const found = createHash('sha256').update(archive).digest('hex');
  if (found !== sha256) {
    throw new Failure('unsatisfiable', `the archive is not the one that the manifest names: its SHA-256 is ${found}`);
  }
  if (floor > serial) throw new Failure('unsatisfiable', `floor ${floor} is above the release's own serial ${serial}`);
  const { rows: same } = await db.query('SELECT FROM agent_releases WHERE sha256 = $1 AND serial <> $2', [
    sha256,
    serial,
  ]);
  if (same.length > 0) throw new Failure('conflict', 'this archive is published already, with another serial');
  const { rowCount } = await db.query(
    `INSERT INTO agent_releases AS r (serial, version, floor, sha256, manifest, signature, archive)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (serial) DO UPDATE SET manifest = excluded.manifest, signature = excluded.signature
       WHERE r.sha256 = excluded.sha256 AND r.version = excluded.version AND r.floor = excluded.floor`,
    [serial, version, floor, sha256, text, signature, archive],
  );
  if (rowCount === 0)
    throw new Failure('conflict', `serial ${serial} is another release already; sign with a higher one`);
  return release(db, serial);
}

function parsed(text: string): ReleaseManifest {
  try {
    return releaseManifest.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure('unsatisfiable', `the manifest cannot be read: ${(error as Error).message.slice(0, 300)}`);
  }
}

/** What the directory holds that joining machines install: what they run is then known here. Null where nothing is signed. */
export async function publishDirectory(db: Queryable, directory: string): Promise<AgentRelease | null> {
  const read = (name: string) => readFile(join(directory, name), 'utf8').catch(() => null);
  const [manifest, signature] = [await read('manifest.json'), await read('manifest.json.sig')];
  if (manifest === null || signature === null) return null;
  const { file, sha256 } = parsed(manifest);
  const { rows } = await db.query<{ serial: number }>('SELECT serial FROM agent_releases WHERE sha256 = $1', [sha256]);
  if (rows[0]) return release(db, rows[0].serial);
  return publish(db, { manifest, signature, archive: await readFile(join(directory, file)) });
}

async function release(db: Queryable, serial: number): Promise<AgentRelease> {
  const { rows } = await db.query<ReleaseRow>(`SELECT ${columns} FROM agent_releases r WHERE serial = $1`, [serial]);
  return shown(rows[0] as ReleaseRow);
}

/** Newest first. */
export async function releases(db: Queryable, below: number | undefined, limit: number): Promise<AgentRelease[]> {
  const { rows } = await db.query<ReleaseRow>(
    `SELECT ${columns} FROM agent_releases r WHERE $1::bigint IS NULL OR serial < $1 ORDER BY serial DESC LIMIT $2`,
    [below ?? null, limit],
  );
  return rows.map(shown);
}

/** The newest of that version. Throws Failure 'not-found'. */
export async function serialOf(db: Queryable, version: string): Promise<number> {
  const { rows } = await db.query<{ serial: number }>(
    'SELECT serial FROM agent_releases WHERE version = $1 ORDER BY serial DESC LIMIT 1',
    [version],
  );
  if (!rows[0])
    throw new Failure(
      'not-found',
      `no release ${version} was published; \`iocloud agent-release list\` shows those there are`,
    );
  return rows[0].serial;
}

export async function signedRelease(db: Queryable, serial: number): Promise<Signed> {
  const { rows } = await db.query<Signed>('SELECT manifest, signature, archive FROM agent_releases WHERE serial = $1', [
    serial,
  ]);
  if (!rows[0]) throw new Error(`no release has the serial ${serial}`);
  return rows[0];
}
