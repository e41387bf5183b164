/** Reads the log of a job, all attempts in order, as text, a piece at a time. */
import type { JobId } from '@iocloud/contracts';
import type { Queryable } from '../../platform/index.js';
import { type LoggedAttempt, type LoggedJob, loggedJob, readChunks } from './chunks.js';

/** A chunk has 256 KiB at most: so much is in memory for each reader. */
const chunksAtATime = 2;

/** `idle`: all that is there has been read, and more may come. */
export type Piece = { text: string[] } | 'idle' | 'end';

export class JobLogReader {
  #attempt: LoggedAttempt | null = null;
  #offset = 0;
  #decoder = new TextDecoder();
  #lastCharacter = '\n';
  /** Read before what is kept was: so what it calls complete has been read to its end when no more is found. */
  #seen: LoggedJob | null = null;
  #allRead = false;

  constructor(
    readonly db: Queryable,
    readonly jobId: JobId,
  ) {}

  async next(): Promise<Piece> {
    if (!this.#allRead) {
      this.#seen ??= await loggedJob(this.db, this.jobId, this.#attempt?.number ?? 1);
      if (!this.#seen) return 'end';
      this.#attempt ??= this.#seen.attempts[0] ?? null;
      const kept = await this.#readKept();
      if (kept.length > 0) return { text: kept };
    }
    return this.#atEnd(this.#seen);
  }

  /** All that was kept when `seen` was read has been read. */
  #atEnd(seen: LoggedJob | null): Piece {
    const [current, following, ...later] = seen?.attempts ?? [];
    this.#seen = null;
    this.#allRead = false;
    if (current && !current.logComplete) return 'idle';
    if (this.#attempt && following) {
      // More attempts than were seen may follow the last of them.
      if (seen && later.length > 0) this.#seen = { ...seen, attempts: [following, ...later] };
      return { text: this.#moveTo(current ?? this.#attempt, following) };
    }
    if (!seen?.jobEnded) return 'idle';
    const rest = this.#decoder.decode();
    return rest === '' ? 'end' : { text: [rest] };
  }

  async #readKept(): Promise<string[]> {
    if (this.#attempt === null) return [];
    const chunks = await readChunks(this.db, this.#attempt.id, this.#offset, chunksAtATime);
    this.#allRead = chunks.length < chunksAtATime;
    const texts: string[] = [];
    for (const { startByte, data } of chunks) {
      this.#offset = startByte + data.length;
      // A character that is cut by the end of a chunk waits in the decoder for its other bytes.
      texts.push(this.#decoder.decode(data, { stream: true }));
    }
    this.#remember(texts);
    return texts;
  }

  #moveTo(ended: LoggedAttempt, following: LoggedAttempt): string[] {
    const rest = this.#decoder.decode();
    this.#remember([rest]);
    const lineStart = this.#lastCharacter === '\n' ? '' : '\n';
    this.#attempt = following;
    this.#offset = 0;
    this.#decoder = new TextDecoder();
    this.#lastCharacter = '\n';
    return [`${rest}${lineStart}${attemptLine(ended, following.number)}`];
  }

  #remember(texts: string[]): void {
    for (const text of texts) this.#lastCharacter = text.at(-1) ?? this.#lastCharacter;
  }
}

/** The one line between the logs of two attempts. */
export function attemptLine(ended: Pick<LoggedAttempt, 'number' | 'outcome' | 'message'>, next: number): string {
  const why = (ended.message ?? '').replaceAll(/\s+/g, ' ').trim();
  return `----- attempt ${ended.number} ${ended.outcome ?? 'ended'}${why === '' ? '' : ` (${why})`}; attempt ${next} follows -----\n`;
}
