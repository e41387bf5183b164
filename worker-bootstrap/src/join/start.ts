/** What keeps the agent running: a service, this process, or nobody (a process of its own that outlives this one). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { identityOf, isAlive } from '../leases/index.js';
import { stateFile } from '../releases/index.js';
import { writePrivate } from './files.js';
import { keeperOf, starterOf } from './install.js';
import type { JoinOptions } from './options.js';
import { installService, managerHere } from './service.js';

export interface Started {
  words: string;
  /** Of an agent that this process does not wait for: at once. */
  ended: Promise<unknown>;
  /** Resolves with words where it ends; of a service never. */
  failed: Promise<string>;
}

interface World {
  say(text: string): void;
  isRoot: boolean;
}

/** A shell starts it anew after a change of its release, as a service would. */
const kept = (directory: string, config: string): string[] => [
  keeperOf(directory),
  stateFile(directory),
  process.execPath,
  starterOf(directory),
  '--config',
  config,
];

const never = new Promise<string>(() => undefined);

/** What runs it is beside its releases: `install` has laid it there. */
export async function start(options: JoinOptions, world: World, config: string): Promise<Started> {
  const manager = options.foreground ? null : managerHere();
  if (manager) {
    const { directory } = options;
    const look = await installService(manager, {
      node: process.execPath,
      main: starterOf(directory),
      config,
      directory,
      isRoot: world.isRoot,
    });
    return { words: `the agent runs as a service: ${look}`, ended: Promise.resolve(), failed: never };
  }
  if (options.detach) return startDetached(options.directory, config);
  if (!options.foreground) world.say('  There is no systemd or launchd here: the agent runs until this ends.');
  const agent = spawn('/bin/sh', kept(options.directory, config), { stdio: 'inherit' });
  // Ctrl-C reaches the agent by itself; a signal to this process alone is handed on.
  const handOn = () => void agent.kill('SIGTERM');
  process.on('SIGTERM', handOn);
  process.on('SIGINT', () => undefined);
  const ended = once(agent, 'exit').finally(() => process.off('SIGTERM', handOn));
  const failed = ended.then(([code]) => `the agent ended with ${code}; its last words are above`);
  return { words: 'the agent runs here', ended, failed };
}

const pidFile = z.object({ pid: z.int().positive(), startTicks: z.number() });

async function startDetached(directory: string, config: string): Promise<Started> {
  const log = join(directory, 'agent.log');
  const file = join(directory, 'keeper.pid');
  const before = pidFile.safeParse(readJson(file));
  if (before.success && (await isAlive(before.data))) {
    const words = `the agent runs already, as process ${before.data.pid}; its log: ${log}`;
    return { words, ended: Promise.resolve(), failed: never };
  }
  const output = openSync(log, 'a', 0o600);
  const args = [...kept(directory, config), '--keep-leases'];
  const agent = spawn('/bin/sh', args, { detached: true, cwd: directory, stdio: ['ignore', output, output] });
  agent.unref();
  const failed = Promise.race([
    once(agent, 'exit').then(([code]) => `the agent ended with ${code}: ${lastLineOf(log)}`),
    once(agent, 'error').then(([error]) => `the agent could not be started: ${(error as Error).message}`),
  ]);
  if (agent.pid !== undefined) writePrivate(file, await identityOf(agent.pid));
  return {
    words: `the agent runs by itself, until this machine is started anew: process ${agent.pid}, log ${log}`,
    ended: Promise.resolve(),
    failed,
  };
}

const lastLineOf = (log: string): string =>
  readFileSync(log, 'utf8').trimEnd().split('\n').at(-1)?.slice(0, 500) ?? `see ${log}`;

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null; // none yet, or not whole: whatever ran is taken for gone
  }
}
