/** A program to run beside us: how to start it, when it is ready, how to end it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';

export interface Launch {
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string | undefined>;
  /** Node programs get a channel that tells them when we are gone. */
  ipc?: boolean;
  /** Resolves once it serves; rejects when it does not within its time. */
  ready(child: ChildProcess): Promise<void>;
  /** Asks it to end in good order. */
  stopSignal: NodeJS.Signals;
  /** After so long it is killed. */
  stopDeadlineMs: number;
}

/** Starts it, its output going to `log`. Its own process group: a Ctrl-C at the terminal is for us to pass on. */
export function spawnLaunch(launch: Launch, log: Writable): ChildProcess {
  const child = spawn(launch.command, launch.args, {
    env: launch.env ?? process.env,
    stdio: launch.ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  return child;
}

/** Ends a child: first in good order, after the deadline by force. Resolves when it is gone. */
export async function endChild(child: ChildProcess, launch: Launch): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  child.kill(launch.stopSignal);
  const timer = setTimeout(() => child.kill('SIGKILL'), launch.stopDeadlineMs);
  await exited;
  clearTimeout(timer);
}

/** Resolves when `probe` does; retries until the child has exited or the time is over. */
export async function waitReady(
  child: ChildProcess,
  name: string,
  timeoutMs: number,
  probe: () => Promise<unknown>,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown = new Error('it was never asked');
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${name} ended at once (${child.signalCode ?? `exit code ${child.exitCode}`})`);
    }
    try {
      await probe();
      return;
    } catch (error) {
      last = error;
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error(`${name} was not ready within ${timeoutMs / 1000} s: ${String(last)}`);
}
