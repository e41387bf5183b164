/** A log file that is set aside once it has grown too large: one older one is kept. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';

const maxBytes = 10 * 2 ** 20;

export class LogFile extends Writable {
  #fd: number;
  #bytes: number;

  constructor(readonly path: string) {
    super({ decodeStrings: true });
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#fd = openSync(path, 'a', 0o600);
    this.#bytes = statSync(path).size;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    try {
      if (this.#bytes + chunk.length > maxBytes) {
        closeSync(this.#fd);
        renameSync(this.path, `${this.path}.1`);
        this.#fd = openSync(this.path, 'a', 0o600);
        this.#bytes = 0;
      }
      writeSync(this.#fd, chunk);
      this.#bytes += chunk.length;
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: () => void): void {
    closeSync(this.#fd);
    done();
  }

  /** The last lines, for an error's text. */
  tail(lines: number): string {
    return readFileSync(this.path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }
}
