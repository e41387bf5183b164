#!/usr/bin/env node
/**
 * What service managers start, in place of a release: counts the start, loads the release that is to run into this very
 * process, and goes back to the one before where a new one does not prove itself. It lies beside the releases and is no
 * part of them, so that none can break the way back; it costs no process of its own. Its contract with every release is
 * the state file (state.ts) and the arguments of main.mjs, and both may only grow.
 */
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { hold } from './holder.js';
import { programOf, readState, writeState } from './state.js';
import { gaveUp, startOf } from './steps.js';

/** An agent that was told to end may take so long with its Ray nodes. */
const patienceMs = 30_000;
const lookMs = 250;

interface Watch {
  home: string;
  attempt: string;
  healthySeconds: number;
}

function fail(error: Error): never {
  process.stderr.write(`iocloud agent: ${error.message}\n`);
  process.exit(1);
}

async function start(): Promise<void> {
  const home = dirname(fileURLToPath(import.meta.url));
  await hold(home, patienceMs);
  const { release, trial, state } = startOf(readState(home));
  writeState(home, state);
  if (trial) watch({ home, attempt: trial.attempt, healthySeconds: trial.healthySeconds });
  const program = programOf(home, release);
  process.argv.splice(1, 1, program);
  process.argv.push('--home', home);
  await import(pathToFileURL(program).href);
}

/** In a thread of its own: a release that hangs cannot stop it. */
function watch(workerData: Watch): void {
  const watchdog = new Worker(new URL(import.meta.url), { workerData, argv: [] });
  watchdog.on('error', fail);
  watchdog.unref();
}

/** Ends with the trial; gives it up when its time is over, and the process with it, which is then started anew. */
function watchOver({ home, attempt, healthySeconds }: Watch): void {
  const deadline = performance.now() + 1_000 * healthySeconds;
  const look = setInterval(() => {
    const state = readState(home);
    if (state.trial?.attempt !== attempt) {
      clearInterval(look);
    } else if (performance.now() > deadline) {
      writeState(
        home,
        gaveUp(state, `it was not back at the control plane with its Ray nodes within ${healthySeconds} s`),
        'watchdog',
      );
      process.kill(process.pid, 'SIGKILL');
    }
  }, lookMs);
}

if (isMainThread) start().catch(fail);
else watchOver(workerData as Watch);
