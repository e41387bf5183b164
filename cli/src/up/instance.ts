/** At most one launcher for a home. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, mark, type ProcessMark } from './running.js';
import { LaunchError } from './settings.js';

const lockFile = (home: string) => join(home, 'run', 'launcher.json');

/** The launcher that runs with this home, or null. */
export function runningInstance(home: string): ProcessMark | null {
  try {
    const holder = JSON.parse(readFileSync(lockFile(home), 'utf8')) as ProcessMark;
    return isRunning(holder) ? holder : null;
  } catch {
    return null; // none was ever there, or it was cut short while writing: then it does not run
  }
}

/** Takes the home for this process; returns what gives it back. Throws LaunchError when another has it. */
export function takeInstance(home: string): () => void {
  mkdirSync(join(home, 'run'), { recursive: true, mode: 0o700 });
  const file = lockFile(home);
  const mine = JSON.stringify(mark(process.pid));
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = runningInstance(home);
    if (holder) {
      throw new LaunchError(
        `already running as pid ${holder.pid} with ${home}: stop that one, or set IOCLOUD_HOME and IOCLOUD_PORT`,
      );
    }
    rmSync(file, { force: true });
  }
}
