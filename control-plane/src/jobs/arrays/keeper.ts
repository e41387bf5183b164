/**
 * Brings an array to what its indices amount to: lets the next ones go, stops what is to be stopped, and says in one status
 * how it stands. It is woken whenever an index moves, reads all from PostgreSQL, and may be killed anywhere.
 */
import type { JobId } from '@iocloud/contracts';
import { type ArrayPhase, arrayInWords, arrayTransitions, countsOf, eventOf, mayGo } from '../../core/arrays/index.js';
import {
  type Database,
  type Signals,
  type TopicHandler,
  type Transaction,
  wake,
  wakeAll,
} from '../../platform/index.js';
import { isTerminal, nextJobPhase } from '../states.js';
import { changeJob, changeJobs, isArray, type JobRow, lockJob, lockJobs, recordJobEvent } from '../store.js';
import { indicesToStop, letGo, liveArrays, tallyOf, writeCounts } from './store.js';

interface Wiring {
  database: Database;
  signals: Signals;
  now(): number;
}

/** Wake-ups that were lost are made up for after so long. */
const sweepEveryMs = 5_000;
/** Indices that are stopped in one transaction. */
const stopsAtOnce = 500;
/** Each index that moves asks for a count of all: at most a quarter of the time is spent on it. */
const restFactor = 3;
const maxRestMs = 1_000;

const begun: ArrayPhase[] = ['running', 'succeeded', 'failed'];
const ends: Partial<Record<ArrayPhase, string>> = {
  succeeded: 'JobSucceeded',
  failed: 'JobFailed',
  stopped: 'JobStopped',
};

export class ArrayKeeper implements TopicHandler {
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  constructor(readonly wiring: Wiring) {}

  async sweep(): Promise<string[]> {
    const { database, now } = this.wiring;
    if (now() - this.#sweptAtMs < sweepEveryMs) return [];
    this.#sweptAtMs = now();
    return liveArrays(database);
  }

  async handle(key: string): Promise<void> {
    const startedMs = performance.now();
    while (await this.#stopSome(key as JobId));
    const changed = await this.wiring.database.transaction(tx => this.#look(tx, key as JobId));
    if (changed) {
      const { signals } = this.wiring;
      signals.send(`job:${changed.id}`);
      signals.send(`events:${changed.tenant_id}`);
      if (isTerminal(changed.phase)) signals.send(`log:${changed.id}`);
    }
    const restMs = Math.min(maxRestMs, restFactor * (performance.now() - startedMs));
    await new Promise(resolve => setTimeout(resolve, restMs));
  }

  /** True when there may be more of them. */
  #stopSome(arrayId: JobId): Promise<boolean> {
    return this.wiring.database.transaction(async tx => {
      const array = await lockJob(tx, arrayId);
      if (array?.phase !== 'stopping') return false;
      const ids = await indicesToStop(tx, arrayId, stopsAtOnce);
      const indices = [...(await lockJobs(tx, ids)).values()];
      const at = new Date(this.wiring.now());
      const stopped = { message: 'Job was intentionally stopped.', ended_at: at };
      const changes = indices.flatMap(row => {
        const phase = nextJobPhase(row.phase, 'stop');
        if (phase === null || phase === row.phase) return [];
        return [{ row, changes: { phase, ...(phase === 'stopped' ? stopped : {}) } }];
      });
      await changeJobs(tx, changes);
      const stopping = changes.filter(({ changes: { phase } }) => phase === 'stopping').map(({ row }) => row.id);
      const { rows } = await tx.query<{ id: string }>(
        `SELECT id FROM job_attempts WHERE job_id = ANY($1) AND phase <> 'ended'`,
        [stopping],
      );
      await wakeAll(
        tx,
        'attempt',
        rows.map(row => row.id),
      );
      return ids.length === stopsAtOnce;
    });
  }

  /** The array as it is then, where anything of it has changed. */
  async #look(tx: Transaction, arrayId: JobId): Promise<JobRow | null> {
    const array = await lockJob(tx, arrayId);
    if (!array || !isArray(array) || array.array_size === null || isTerminal(array.phase)) return null;
    const { array_size: size, array_max_parallel: maxParallel } = array;
    const before = array.phase as ArrayPhase;
    const { tally, spentMicroUsd } = await tallyOf(tx, arrayId);
    const goes = mayGo(before, tally, maxParallel);
    if (goes > 0) {
      await letGo(tx, arrayId, goes);
      await wake(tx, 'dispatch', 'all');
    }
    const event = eventOf(before, tally, size);
    const phase = event === null ? before : (arrayTransitions[before][event] ?? before);
    const message = arrayInWords(tally, size);
    if (phase === before && message === array.message && spentMicroUsd === array.spent_micro_usd) return null;
    const at = new Date(this.wiring.now());
    await writeCounts(tx, arrayId, countsOf(tally));
    const next = await changeJob(tx, array, {
      phase,
      message,
      spent_micro_usd: spentMicroUsd,
      started_at: array.started_at ?? (begun.includes(phase) ? at : null),
      ended_at: isTerminal(phase) ? at : null,
    });
    const reason = phase === before ? undefined : ends[phase];
    if (reason) await recordJobEvent(tx, array, reason, message, phase === 'failed' ? 'warning' : 'info');
    return next;
  }
}
