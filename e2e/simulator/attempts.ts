/** The life of an attempt: what happens to it in truth, what is heard of it, and what follows by the real rules. */
import {
  costMicroUsd,
  defaultRetryTerms,
  isFenced,
  nextAttempt,
  type QueueDecision,
  type Sighting,
  see,
  unseen,
} from '@iocloud/control-plane/core/queueing';
import type { Priced } from './grounds.js';
import type { Execution, JobRecord } from './records.js';
import type { World } from './world.js';

const retryTerms = { ...defaultRetryTerms, maxAttempts: 20 };

export class Attempts<Request, Placement extends Priced> {
  readonly #unfenced: boolean;
  readonly #restartsOnDoubt: boolean;

  constructor(readonly world: World<Request, Placement>) {
    this.#unfenced = world.terms.bugs.has('no-fence');
    this.#restartsOnDoubt = world.terms.bugs.has('probe-restarts');
  }

  start(
    record: JobRecord<Request, Placement>,
    { admission: attempt, placement, endAtMs }: Extract<QueueDecision<Placement>, { kind: 'admit' }>,
  ): void {
    const { world } = this;
    const { nowMs, timeline } = world;
    record.live = attempt;
    record.view = unseen;
    const machines = world.ground.machinesOf(placement);
    const execution = { record, attempt, placement, machines, startedAtMs: nowMs, alive: true, unheard: null };
    record.execution = execution;
    world.executions.add(execution);
    world.checks.started(execution);
    world.tally.runs(record.job.workload, 1, nowMs);
    if (machines.some(machineId => world.failures.isDead(machineId))) this.dies(execution);
    const { workMs, failsAfterMs } = record.job;
    const fails = failsAfterMs !== null && failsAfterMs >= record.savedMs;
    const lastsMs = (fails ? failsAfterMs : workMs) - record.savedMs;
    timeline.at(nowMs + lastsMs, () => this.ends(execution, fails ? 'failedByUser' : 'succeeded'));
    // The machine keeps to the budget's end by itself.
    if (endAtMs !== null && !world.terms.bugs.has('budget-by-word'))
      timeline.at(endAtMs, () => this.ends(execution, 'stopped'));
  }

  /** It comes to an end by itself, and says so as soon as it can be heard. */
  ends(execution: Execution<Request, Placement>, word: Sighting): void {
    if (!execution.alive) return;
    this.dies(execution);
    execution.unheard = word;
    this.say(execution);
  }

  dies(execution: Execution<Request, Placement>): void {
    if (!execution.alive) return;
    execution.alive = false;
    this.world.tally.runs(execution.record.job.workload, -1, this.world.nowMs);
    if (execution.record.live === execution.attempt) this.#charge(execution);
  }

  /** For the time until its end, or until its fence: what a machine does beyond is its supplier's loss. */
  #charge({ record, placement, startedAtMs }: Execution<Request, Placement>): void {
    record.costMicroUsd += costMicroUsd(placement.microUsdPerHour, this.world.nowMs - startedAtMs);
    this.world.checks.paid(record);
  }

  say(execution: Execution<Request, Placement>): void {
    const { unheard } = execution;
    if (unheard === null || this.world.failures.isSilent(execution)) return;
    execution.unheard = null;
    this.world.failures.whenUp(() => this.sighted(execution, unheard));
  }

  /** Told to stop, it writes a checkpoint and ends within its grace. */
  signal(record: JobRecord<Request, Placement>, graceUntilMs: number): void {
    const { world } = this;
    const { execution } = record;
    if (!execution?.alive || world.failures.isSilent(execution)) return;
    const stopsAtMs = world.nowMs + Math.floor(world.random.next() * (graceUntilMs - world.nowMs));
    world.timeline.at(stopsAtMs, () => {
      if (!execution.alive || record.live !== execution.attempt) return;
      record.savedMs += world.nowMs - execution.startedAtMs;
      this.ends(execution, 'preempted');
    });
  }

  /** Its grace is over: the fence goes up, whether or not its machine can be reached, and what it holds is free. */
  force(record: JobRecord<Request, Placement>): void {
    const { execution, job } = record;
    const { queue, nowMs, failures } = this.world;
    if (execution && !failures.isSilent(execution)) this.dies(execution);
    this.#close(record);
    queue.freed(job.workload.id, nowMs);
    this.#stands(record);
  }

  /** What its checkpoints have kept of the work that it did. */
  save({ record, startedAtMs, attempt }: Execution<Request, Placement>): void {
    if (record.live !== attempt) return;
    const { checkpointEveryMs } = record.job;
    record.savedMs += Math.floor((this.world.nowMs - startedAtMs) / checkpointEveryMs) * checkpointEveryMs;
  }

  /** The attempt's word counts no more. A fenced one may run on where nobody reaches it. */
  #close(record: JobRecord<Request, Placement>): void {
    const { execution } = record;
    if (execution) {
      if (execution.alive) this.#charge(execution);
      else this.world.executions.delete(execution);
      this.world.checks.released(execution);
    }
    if (!this.#unfenced) record.live = null;
    record.execution = null;
  }

  /** Something is seen of an attempt: the real rules say what follows. */
  sighted(execution: Execution<Request, Placement>, sighting: Sighting): void {
    const { record, attempt } = execution;
    const { world } = this;
    if (isFenced(attempt, record.live) && !this.#unfenced) {
      world.tally.fenced += 1;
      world.executions.delete(execution);
      return;
    }
    const isMistaken = sighting === 'failedByUser' && world.terms.bugs.has('retried-errors');
    const { view, verdict } = see(record.view, isMistaken ? 'failedByInfrastructure' : sighting);
    record.view = view;
    const wrongly = this.#restartsOnDoubt && view.doubts > 25;
    if (verdict.kind === 'carryOn' && !wrongly) return;
    const end = verdict.kind === 'carryOn' ? { outcome: 'lost' as const, cause: 'headLost' as const } : verdict;
    world.checks.ended(execution, sighting, end);
    this.#close(record);
    if (!execution.alive) world.executions.delete(execution);
    const { id } = record.job.workload;
    const state = world.queue.stateOf(id);
    if (state !== 'running' && state !== 'stopping') return;
    if (end.cause === 'preempted' && state === 'stopping') world.queue.freed(id, world.nowMs);
    else this.#after(record, end);
    this.#stands(record);
    world.decide();
  }

  #after(record: JobRecord<Request, Placement>, end: Parameters<typeof nextAttempt>[0]): void {
    const { queue, nowMs, tally } = this.world;
    const { id } = record.job.workload;
    if (end.outcome === 'lost' && end.cause !== 'preempted') record.failures += 1;
    const next = nextAttempt(end, record.failures, retryTerms, nowMs);
    if (next.again) {
      tally.migrations += 1;
      queue.lost(id, nowMs, next.notBeforeMs);
      return;
    }
    record.outcome = end.outcome === 'lost' ? 'exhausted' : end.outcome;
    queue.finished(id, nowMs);
  }

  /** Whether it waits again, or has ended. */
  #stands(record: JobRecord<Request, Placement>): void {
    this.world.lastNewsMs = this.world.nowMs;
    if (this.world.queue.stateOf(record.job.workload.id) === 'queued') {
      this.world.waiting.add(record);
      return;
    }
    record.outcome ??= 'stopped';
    this.world.tally.ended(record.outcome, record.costMicroUsd);
  }
}
