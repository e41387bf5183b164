/** Keeps programs running: starts them in order, restarts one that dies, ends all in the reverse order. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endChild, type Launch, spawnLaunch } from './launch.js';
import { LogFile } from './log-file.js';
import { endProcess, isRunning, mark, type ProcessMark } from './running.js';
import { LaunchError } from './settings.js';

interface Supervised {
  launch: Launch;
  log: LogFile;
  child: ChildProcess;
  /** Has it ever served? One that never did is a failed start, not a death to heal. */
  served: boolean;
  restarts: number;
  timer?: NodeJS.Timeout;
}

interface Record_ extends ProcessMark {
  name: string;
  stopSignal: NodeJS.Signals;
  stopDeadlineMs: number;
}

const firstBackoffMs = 100;
const longestBackoffMs = 10_000;
/** A program that has run so long starts with a short wait again when it dies. */
const steadyMs = 30_000;

export class Supervisor {
  readonly #supervised: Supervised[] = [];
  readonly #recordFile: string;
  #stopping = false;

  constructor(
    readonly home: string,
    readonly say: (line: string) => void,
  ) {
    this.#recordFile = join(home, 'run', 'children.json');
  }

  /** Ends what an earlier launcher, killed before it could, has left running. */
  async endLeftovers(): Promise<void> {
    let records: Record_[];
    try {
      records = JSON.parse(readFileSync(this.#recordFile, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw new LaunchError(
        `${this.#recordFile} cannot be read (${String(error)}): delete it when nothing of an earlier run is left`,
      );
    }
    for (const record of records.reverse().filter(isRunning)) {
      this.say(`an earlier run left ${record.name} (pid ${record.pid}): ending it`);
      await endProcess(record, record.stopSignal, record.stopDeadlineMs);
    }
    rmSync(this.#recordFile, { force: true });
  }

  /** Starts a program and waits until it serves. Throws LaunchError with the end of its log when it does not. */
  async start(launch: Launch): Promise<void> {
    const fileName = `${launch.name.toLowerCase().replaceAll(' ', '-')}.log`;
    const log = new LogFile(join(this.home, 'logs', fileName));
    const entry: Supervised = { launch, log, child: spawnLaunch(launch, log), served: false, restarts: 0 };
    this.#supervised.push(entry);
    this.#watch(entry);
    try {
      await launch.ready(entry.child);
      entry.served = true;
    } catch (error) {
      throw new LaunchError(`${(error as Error).message}; the end of ${log.path}:\n${log.tail(15)}`);
    }
  }

  #watch(entry: Supervised): void {
    const started = Date.now();
    this.#record();
    let ended = false;
    const again = (how: string) => {
      if (ended) return;
      ended = true;
      if (this.#stopping || !entry.served) return;
      if (Date.now() - started > steadyMs) entry.restarts = 0;
      const waitMs = Math.min(firstBackoffMs * 2 ** entry.restarts, longestBackoffMs);
      entry.restarts += 1;
      this.say(`${entry.launch.name} ended (${how}); starting it again`);
      entry.timer = setTimeout(() => {
        entry.child = spawnLaunch(entry.launch, entry.log);
        this.#watch(entry);
      }, waitMs);
    };
    entry.child.once('exit', (code, signal) => again(signal ?? `exit code ${code}`));
    entry.child.once('error', error => again(error.message));
  }

  #record(): void {
    const records: Record_[] = this.#supervised.flatMap(({ launch, child }) =>
      child.pid === undefined
        ? []
        : [
            {
              name: launch.name,
              ...mark(child.pid),
              stopSignal: launch.stopSignal,
              stopDeadlineMs: launch.stopDeadlineMs,
            },
          ],
    );
    writeFileSync(this.#recordFile, JSON.stringify(records), { mode: 0o600 });
  }

  /** Ends all, the last started first. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const entry of this.#supervised.reverse()) {
      clearTimeout(entry.timer);
      await endChild(entry.child, entry.launch);
      entry.log.end();
    }
    rmSync(this.#recordFile, { force: true });
  }
}
