/**
 * The log of an array, read as any job's: what it is and how to read its indices, and at the end what has become of them.
 * It says the same each time that it is read, so that a follower who comes back finds its place by counting bytes.
 */
import type { JobId } from '@iocloud/contracts';
import type { Queryable } from '../../platform/index.js';
import type { Piece } from '../logs/reader.js';
import { isTerminal } from '../states.js';
import { type JobRow, loadJob } from '../store.js';
import { unsuccessful } from './store.js';

/** The others are found with `iocloud job list --array`. */
const mostNamed = 20;

export class ArrayLogReader {
  #said: 'nothing' | 'beginning' | 'all' = 'nothing';

  constructor(
    readonly db: Queryable,
    readonly arrayId: JobId,
  ) {}

  async next(): Promise<Piece> {
    if (this.#said === 'all') return 'end';
    const array = await loadJob(this.db, this.arrayId);
    if (!array) return 'end';
    if (this.#said === 'nothing') {
      this.#said = 'beginning';
      return { text: [beginning(array)] };
    }
    if (!isTerminal(array.phase)) return 'idle';
    this.#said = 'all';
    const named = await unsuccessful(this.db, this.arrayId, mostNamed);
    const lines = named.map(
      ({ array_index: index, phase, message }) =>
        `index ${index} ${phase}: ${message.replaceAll(/\s+/g, ' ').trim()} (iocloud job logs ${array.submission_id}/${index})\n`,
    );
    return { text: [`${array.message}\n`, ...lines] };
  }
}

function beginning({ submission_id: id, array_size: size, array_max_parallel: most }: JobRow): string {
  const atOnce = most === null ? '' : `, at most ${most} at once`;
  return [
    `Array job ${id}: indices 0 to ${(size ?? 1) - 1}${atOnce}. Each index has a log of its own:\n`,
    `  iocloud job logs ${id}/0        or   ray job logs ${id}.0\n`,
    `  iocloud job list --array ${id}\n`,
  ].join('');
}
