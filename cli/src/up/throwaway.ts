/** Real PostgreSQL and Redis for one test: own directory, own port, gone with all they made at `stop()`. */
import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { endChild, type Launch, spawnLaunch } from './launch.js';
import { freePort } from './ports.js';
import { preparePostgres } from './postgres.js';
import { prepareRedis } from './redis.js';

export interface RunningServer {
  url: string;
  pid(): number;
  /** kill -9, and wait until it is dead. */
  kill(): Promise<void>;
  /** Starts again on the same port and data after `kill()`. */
  restart(): Promise<void>;
  /** Ends it and removes its directory. */
  stop(): Promise<void>;
}

const restartDeadlineMs = 30_000;

interface Options {
  /** Must be the caller's alone: it is removed at the end. */
  dataDir: string;
  port?: number;
}

export async function startPostgres({ dataDir, port }: Options): Promise<RunningServer> {
  await mkdir(dataDir, { recursive: true });
  const prepared = await preparePostgres({
    dataDir: join(dataDir, 'data'),
    port: port ?? (await freePort()),
    passwordFile: join(dataDir, 'password'),
  });
  return start(prepared, dataDir);
}

/** `IOCLOUD_REDIS_VENV` or `IOCLOUD_VENV` names an environment that may hold a server when the PATH has none. */
export async function startRedis({ dataDir, port }: Options): Promise<RunningServer> {
  await mkdir(dataDir, { recursive: true });
  const prepared = await prepareRedis({
    dataDir: join(dataDir, 'data'),
    port: port ?? (await freePort()),
    passwordFile: join(dataDir, 'password'),
    venvDirs: [process.env.IOCLOUD_REDIS_VENV, process.env.IOCLOUD_VENV].filter(dir => dir !== undefined),
  });
  return start(prepared, dataDir);
}

async function start({ launch, url }: { launch: Launch; url: string }, dataDir: string): Promise<RunningServer> {
  const log = createWriteStream(join(dataDir, 'log'), { flags: 'a' });
  let child: ChildProcess = await spawnReady(launch, log);
  return {
    url,
    pid: () => child.pid ?? -1,
    kill: () => endChild(child, { ...launch, stopSignal: 'SIGKILL' }),
    restart: async () => {
      child = await startAgain(launch, log);
    },
    stop: async () => {
      await endChild(child, launch);
      log.end();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** PostgreSQL refuses its data while backends of the killed server are still ending, which takes as long as it takes. */
async function startAgain(launch: Launch, log: NodeJS.WritableStream): Promise<ChildProcess> {
  const deadlineMs = performance.now() + restartDeadlineMs;
  for (;;) {
    try {
      return await spawnReady(launch, log);
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await new Promise(again => setTimeout(again, 200));
    }
  }
}

async function spawnReady(launch: Launch, log: NodeJS.WritableStream): Promise<ChildProcess> {
  const child = spawnLaunch(launch, log as never);
  try {
    await launch.ready(child);
    return child;
  } catch (error) {
    await endChild(child, launch);
    throw error;
  }
}
