/** How far each machine was when last heard of: a file a machine, so that runs side by side hold up none. No secrets. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nodeId } from '@iocloud/contracts';
import { z } from 'zod';
import { CliError } from '../commands/exit.js';

const standing = z.object({
  /** running: a run is at it, or was killed there. */
  state: z.enum(['running', 'done', 'failed', 'interrupted']),
  nodeId: nodeId.nullable(),
  reason: z.string(),
  at: z.iso.datetime(),
});
export type Standing = z.infer<typeof standing>;

export class Records {
  readonly #directory: string;

  /** `directory`: of the command line's configuration. Of each control plane apart. */
  constructor(directory: string, controlPlane: string) {
    this.#directory = path.join(directory, 'fleet', encodeURIComponent(controlPlane));
  }

  /** Null: nothing is known of it. */
  async read(key: string): Promise<Standing | null> {
    const text = await readFile(this.#file(key), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) return null;
    try {
      return standing.parse(JSON.parse(text));
    } catch {
      throw new CliError('usage', `${this.#file(key)} is damaged: remove it and run this again`);
    }
  }

  async write(key: string, value: Standing): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const draft = `${this.#file(key)}.${process.pid}`;
    await writeFile(draft, `${JSON.stringify(value)}\n`, { mode: 0o600 });
    await rename(draft, this.#file(key));
  }

  #file(key: string): string {
    return path.join(this.#directory, `${encodeURIComponent(key)}.json`);
  }
}
