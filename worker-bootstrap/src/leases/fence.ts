/**
 * The fence: the time at which this machine's Ray nodes end themselves unless the control plane is heard of again. It is a
 * file that every supervisor holds open and reads by itself, so that it works with a dead or a stopped agent too. Why the
 * time is safe: contracts/src/fencing.ts.
 */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One line of this many bytes, written in place in one go: a reader never sees half of it. */
const fileBytes = 48;

/** Seconds of a clock that the supervisors read too, and that goes on while the machine sleeps. */
export async function uptimeSeconds(): Promise<number> {
  const text = await readFile('/proc/uptime', 'utf8').catch(() => '');
  // Elsewhere than on Linux the wall clock has to do.
  return text === '' ? Date.now() / 1_000 : Number(text.split(' ')[0]);
}

export class Fence {
  readonly file: string;
  #writing: Promise<void> = Promise.resolve();
  #deadline = 0;
  #afterMs = 0;

  constructor(stateDir: string) {
    this.file = join(stateDir, 'fence');
  }

  /** Reads what an earlier agent left, or makes the file. Until the first `extend` nothing is fenced. */
  async open(): Promise<void> {
    const text = await readFile(this.file, 'utf8').catch(() => '');
    const [deadline = 0, afterMs = 0] = text.trim().split(/\s+/).map(Number);
    this.#deadline = deadline;
    this.#afterMs = afterMs;
    if (text === '') await this.#write();
  }

  /** The control plane has put on record what was sent at `sentAt` (uptime in seconds). */
  async extend(sentAt: number, afterMs: number): Promise<void> {
    this.#deadline = Math.max(sentAt + afterMs / 1_000, afterMs === this.#afterMs ? this.#deadline : 0);
    this.#afterMs = afterMs;
    await this.#write();
  }

  /** As `extend`, where there is no control plane that could count the time. */
  async extendAsBefore(now: number): Promise<void> {
    if (this.#afterMs > 0 && now < this.#deadline) await this.extend(now, this.#afterMs);
  }

  #write(): Promise<void> {
    const line = `${this.#deadline.toFixed(2)} ${this.#afterMs}`.padEnd(fileBytes - 1);
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        const file = await open(this.file, 'r+').catch(() => open(this.file, 'w', 0o600));
        try {
          await file.write(`${line}\n`, 0);
        } finally {
          await file.close();
        }
      });
    return this.#writing;
  }
}
