/** Processes by pid and start time: a pid alone may meanwhile be somebody else's. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ProcessMark {
  pid: number;
  /** Opaque: equal for the same process only. */
  started: string;
}

/** Null when no such process runs. A zombie does not run. */
export function startedAt(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? null : (fields[19] ?? null);
    } catch {
      return null;
    }
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || null;
  } catch {
    return null;
  }
}

export const mark = (pid: number): ProcessMark => ({ pid, started: startedAt(pid) ?? '' });
export const isRunning = ({ pid, started }: ProcessMark) => startedAt(pid) === started;

/** Sends the signal, waits, kills after the deadline. Resolves when it has ended. */
export async function endProcess(process_: ProcessMark, signal: NodeJS.Signals, deadlineMs: number): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  let sent: NodeJS.Signals | undefined;
  while (isRunning(process_)) {
    const wanted = Date.now() > deadline ? 'SIGKILL' : signal;
    if (sent !== wanted) {
      sent = wanted;
      try {
        process.kill(process_.pid, wanted);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}
