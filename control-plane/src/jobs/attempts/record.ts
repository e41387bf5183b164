/** What is on record of an attempt, kept between the steps of its monitor: thousands of monitors step again and again. */
import type { AttemptId } from '@iocloud/contracts';
import type { Clusters } from '../../clusters/ports.js';
import type { Database } from '../../platform/index.js';
import { type JobRow, loadJob } from '../store.js';
import { type AttemptRow, loadAttempt } from './store.js';

/**
 * It is read again at once when there is news of it or trouble with its head (`forget`), and for the rest after so long;
 * where the head is not there, sooner. Milliseconds.
 */
const lastsMs = 30_000;
const lastsWithoutHeadMs = 1_000;

export interface OnRecord {
  attempt: AttemptRow;
  job: JobRow;
  head: Awaited<ReturnType<Clusters['headState']>>;
}

export class AttemptRecord {
  #kept: (OnRecord & { readAtMs: number }) | undefined;
  #forgotten = 0;

  constructor(
    readonly wiring: { database: Database; clusters: Clusters; now(): number },
    readonly id: AttemptId,
  ) {}

  get kept(): OnRecord | undefined {
    return this.#kept;
  }

  /** Null when the attempt has ended, or its job is gone. */
  async read(): Promise<OnRecord | null> {
    const { database, clusters, now } = this.wiring;
    const keptMs = this.#kept?.head === 'ready' ? lastsMs : lastsWithoutHeadMs;
    if (this.#kept && now() - this.#kept.readAtMs < keptMs) return this.#kept;
    const readAtMs = now();
    const forgotten = this.#forgotten;
    const attempt = await loadAttempt(database, this.id);
    const job = attempt && attempt.phase !== 'ended' ? await loadJob(database, attempt.job_id) : null;
    if (!attempt || !job) return null;
    const head = await clusters.headState(database, attempt.head_lease_id);
    const onRecord = { attempt, job, head, readAtMs };
    // News that came while it was read asks for it to be read again.
    this.#kept = forgotten === this.#forgotten ? onRecord : undefined;
    return onRecord;
  }

  forget(): void {
    this.#forgotten += 1;
    this.#kept = undefined;
  }
}
