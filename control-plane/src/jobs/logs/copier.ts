/**
 * Copies the driver's log of one attempt from its cluster into the database while it is written, and to its end once the
 * attempt has ended. At most two chunks are in memory; a log that comes faster than the database takes it waits in the
 * stream.
 */
import type { Readable } from 'node:stream';
import type { AttemptId } from '@iocloud/contracts';
import { HeadUnavailable } from '../../clusters/ports.js';
import type { Database, Logger } from '../../platform/index.js';
import { appendChunk, logPosition } from './chunks.js';

export const maxChunkBytes = 256 * 2 ** 10;
/** How long bytes wait for company before they are written. */
const flushAfterMs = 100;
const retryAfterMs = 500;

export interface LogSource {
  /** As Clusters.jobLog, bound to the attempt's cluster and its submission id there. */
  open(fromByte: number, follow: boolean): Promise<Readable>;
}

interface Wiring {
  database: Database;
  log: Logger;
  attemptId: AttemptId;
  source: LogSource;
  maxBytes: number;
  /** Called after each append. */
  onAppended(): void;
}

/** The log was appended to by somebody else: where it ends must be read again. */
class Outrun extends Error {}

export class LogCopier {
  #stream: Readable | undefined;
  #following: Promise<void> | undefined;
  #stopped = false;
  #lastDataAtMs = 0;
  /** Lets the copying under way see that something has changed. */
  #news: () => void = () => undefined;

  constructor(readonly wiring: Wiring) {}

  /** Starts to follow; may be called again. */
  follow(): void {
    this.#following ??= this.#followUntilStopped();
  }

  /** Resolves once nothing has come for `quietMs`, or after `limitMs`. */
  async quiet(quietMs: number, limitMs: number): Promise<void> {
    const startedAtMs = Date.now();
    this.#lastDataAtMs = Math.max(this.#lastDataAtMs, startedAtMs);
    while (Date.now() - startedAtMs < limitMs && Date.now() - this.#lastDataAtMs < quietMs) await pause(50);
  }

  /** Ends following; what has been received is written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stream?.destroy();
    this.#news();
    await this.#following;
  }

  /**
   * After `stop`: copies what is left. `complete`: all of it is kept; `absent`: there is no such log, as when the attempt
   * ended before its driver wrote anything. Throws what the stream or the database throws: to be tried again.
   */
  async copyToEnd(): Promise<'complete' | 'absent'> {
    for (;;) {
      try {
        const position = await logPosition(this.wiring.database, this.wiring.attemptId);
        if (!position || position.complete || position.truncated) return 'complete';
        await this.#copy(position.bytes, await this.wiring.source.open(position.bytes, false), true);
        return 'complete';
      } catch (error) {
        if (error instanceof HeadUnavailable && error.code === 'not-found') return 'absent';
        if (!(error instanceof Outrun)) throw error;
      }
    }
  }

  async #followUntilStopped(): Promise<void> {
    while (!this.#stopped) {
      try {
        const position = await logPosition(this.wiring.database, this.wiring.attemptId);
        if (!position || position.complete || position.truncated) return;
        const stream = await this.wiring.source.open(position.bytes, true);
        this.#stream = stream;
        if (this.#stopped) stream.destroy();
        await this.#copy(position.bytes, stream, false);
      } catch (error) {
        if (!this.#stopped && !(error instanceof Outrun)) {
          this.wiring.log.debug({ attempt: this.wiring.attemptId, error: String(error) }, 'a log stream broke');
        }
      }
      if (!this.#stopped) await pause(retryAfterMs);
    }
  }

  /** Appends what the stream carries; whatever ends the stream, what had been received before is appended. */
  async #copy(fromByte: number, stream: Readable, wholly: boolean): Promise<void> {
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let offset = fromByte;
    let lastFlushAtMs = 0;
    let failure: unknown;
    let ended = false;
    let atEnd = false;
    const news = () => this.#news();
    const isOver = () => ended || (this.#stopped && !wholly);
    stream.on('data', (chunk: Buffer) => {
      received.push(chunk);
      receivedBytes += chunk.length;
      this.#lastDataAtMs = Date.now();
      if (receivedBytes >= maxChunkBytes) stream.pause();
      news();
    });
    stream.on('error', error => {
      failure = error;
      news();
    });
    stream.on('close', () => {
      ended = true;
      news();
    });
    stream.on('end', () => {
      ended = true;
      atEnd = true;
      news();
    });
    try {
      while (!isOver() || receivedBytes > 0) {
        if (receivedBytes === 0) {
          await new Promise<void>(resolve => {
            this.#news = resolve;
            if (isOver() || receivedBytes > 0) resolve();
          });
          continue;
        }
        const waitMs = lastFlushAtMs + flushAfterMs - Date.now();
        if (receivedBytes < maxChunkBytes && !isOver() && waitMs > 0) {
          await pause(Math.min(waitMs, 20));
          continue;
        }
        const data = received.length === 1 && received[0] ? received[0] : Buffer.concat(received);
        received.length = 0;
        receivedBytes = 0;
        stream.resume();
        offset = await this.#append(offset, data);
        lastFlushAtMs = Date.now();
      }
    } finally {
      stream.destroy();
    }
    if (wholly && !atEnd) throw failure ?? new Error('the log stream broke off before its end');
    if (failure !== undefined && !this.#stopped) throw failure;
  }

  async #append(fromByte: number, data: Buffer): Promise<number> {
    const { database, attemptId, maxBytes, onAppended } = this.wiring;
    let offset = fromByte;
    for (let start = 0; start < data.length; start += maxChunkBytes) {
      let piece = data.subarray(start, start + maxChunkBytes);
      const last = offset + piece.length > maxBytes;
      if (last) {
        const line = `\n[the log is cut here: ${maxBytes} bytes of one attempt are kept, what follows is dropped]\n`;
        piece = Buffer.concat([piece.subarray(0, Math.max(0, maxBytes - offset)), Buffer.from(line)]);
      }
      if (!(await appendChunk(database, { attemptId, fromByte: offset, data: piece, last }))) throw new Outrun();
      offset += piece.length;
      onAppended();
      if (last) throw new Outrun();
    }
    return offset;
  }
}

const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));
