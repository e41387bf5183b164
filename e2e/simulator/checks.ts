/** What must be true of the simulated system at every step. A breach ends the run with what led to it. */
import {
  defaultOrderTerms,
  priorityClasses,
  type QueueDecision,
  rankMs,
  type Sighting,
} from '@iocloud/control-plane/core/queueing';
import type { Priced } from './grounds.js';
import { Ledger } from './ledger.js';
import { QuotaChecks } from './quota-checks.js';
import type { Execution, JobRecord } from './records.js';
import type { World } from './world.js';

export class Breach extends Error {
  constructor(
    readonly invariant: string,
    readonly details: string,
    readonly trace: string[],
  ) {
    super(`${invariant}: ${details}`);
  }
}

const traced = 60;
/** Beyond so many that wait, it is not looked at whether one was passed. */
const mostCompared = 400;

/** Machines die, and what was cleared with them: some repetition is nobody's fault. */
const mostStops = 10;

export class Checks<Request, Placement extends Priced> {
  readonly #ledger = new Ledger();
  readonly #quotas: QuotaChecks;
  /** Those that hold something and have a budget. */
  readonly #budgeted = new Set<string>();
  readonly #successes = new Map<string, number>();
  /** What has ended by its user's own error. */
  readonly #ownErrors = new Set<string>();
  readonly #stoppedFor = new Set<string>();
  /** For whom work was told to stop, and when. */
  readonly #stopTimes = new Map<string, Set<number>>();
  /** The last events, each put into words only if a breach comes. */
  readonly #trace: { atMs: number; say: () => string }[] = [];
  #asked = 0;
  /** How many times something was looked at. */
  made = 0;

  constructor(readonly world: World<Request, Placement>) {
    this.#quotas = new QuotaChecks(world.scenario.tenants);
  }

  broken(invariant: string, details: string): never {
    throw this.#breach(invariant, details);
  }

  failed(error: unknown): Breach {
    return this.#breach('nothing throws', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  #breach(invariant: string, details: string): Breach {
    const trace = this.#trace.slice(-traced).map(({ atMs, say }) => `${(atMs / 1000).toFixed(3)} s ${say()}`);
    return new Breach(invariant, details, trace);
  }

  #note(say: () => string): void {
    this.#trace.push({ atMs: this.world.nowMs, say });
    if (this.#trace.length > 2 * traced) this.#trace.splice(0, traced);
  }

  decided(decision: QueueDecision<Placement>): void {
    const { records } = this.world;
    const { id } = decision;
    this.#note(() => JSON.stringify(decision));
    if (decision.kind === 'admit') this.#admitted(id, decision.placement, decision.backfills);
    if (decision.kind !== 'stop' || decision.why === 'budget') return;
    if (decision.forId !== null) {
      this.#stoppedFor.add(decision.forId);
      this.#countStops(decision.forId);
    }
    const victim = records.get(id)?.job.workload;
    const winner = records.get(decision.forId ?? '')?.job.workload;
    if (!victim || !winner) this.broken('work is stopped for other work', JSON.stringify(decision));
    if (!victim.preemptible) this.broken('only preemptible work is stopped', JSON.stringify(decision));
    const [low, high] = [victim, winner].map(one => priorityClasses.indexOf(one.priorityClass)) as [number, number];
    const allowed = decision.why === 'reclaimed' ? low <= high : low < high;
    if (!allowed) this.broken('no work is stopped for work of a lower class', JSON.stringify(decision));
  }

  /** What is stopped for somebody must be of use to them: not so that others take it, and more has to be stopped. */
  #countStops(forId: string): void {
    const { nowMs } = this.world;
    const times = this.#stopTimes.get(forId) ?? new Set();
    this.#stopTimes.set(forId, times.add(nowMs));
    if (times.size > mostStops)
      this.broken('nobody is stopped in vain again and again', `at ${times.size} times for ${forId}`);
  }

  #admitted(id: string, placement: Placement, backfills: boolean): void {
    const { ground } = this.world;
    const record = this.world.records.get(id);
    if (!record) this.broken('only submitted work is admitted', id);
    const { workload } = record.job;
    const shortcoming = ground.shortcoming(workload.request, placement, null);
    if (shortcoming !== null) this.broken('gangs are whole and requirements met', `${id}: ${shortcoming}`);
    const twice = this.#ledger.give(id, ground.claimsOf(placement));
    if (twice !== null) this.broken('nothing is given twice', `${id} gets ${twice}`);
    if (workload.budgetMicroUsd !== null) this.#budgeted.add(id);
    this.#quotas.count(workload.tenantId, workload.preemptible, workload.demand.gpus ?? 0);
    // What others were stopped for goes where they were.
    if (!this.#stoppedFor.delete(id) && !backfills) this.#fairly(record);
  }

  /** What is older by more than the order can make up for, asks for no more and waits for room, is not passed. */
  #fairly({ job: { workload } }: JobRecord<Request, Placement>): void {
    const { waiting, queue, nowMs, ground } = this.world;
    if (waiting.size > mostCompared) return;
    const latestMs = rankMs(workload, defaultOrderTerms) - defaultOrderTerms.fairnessMs;
    for (const { job } of waiting) {
      const { request, ...rest } = job.workload;
      if (rankMs(rest, defaultOrderTerms) >= latestMs || queue.stateOf(rest.id) !== 'queued') continue;
      const priced = rest.budgetMicroUsd !== null || rest.cheapWindow !== null;
      // It is explained as of now, when the room has been given away: whether it had a right to go before is known only
      // where no quota comes in.
      if (priced || this.#quotas.isLimited(rest.tenantId) || !ground.noHarder(request, workload.request)) continue;
      if (queue.explain(rest.id, nowMs).wait?.code === 'no-room')
        this.broken('nobody starves', `${workload.id} goes before ${rest.id}, which is older and asks for no more`);
    }
  }

  started({ record }: Execution<Request, Placement>): void {
    const { id } = record.job.workload;
    if (this.#ownErrors.has(id)) this.broken("the user's own error is never tried again", id);
    if (record.outcome !== null) this.broken('what has ended stays ended', id);
  }

  /** By the time that it ran in truth. */
  paid({ job, costMicroUsd }: JobRecord<Request, Placement>): void {
    const { id, budgetMicroUsd } = job.workload;
    if (budgetMicroUsd !== null && costMicroUsd > budgetMicroUsd)
      this.broken('no budget is passed', `${id} has run for ${costMicroUsd} of ${budgetMicroUsd} micro-USD`);
  }

  released({ record }: Execution<Request, Placement>): void {
    const { id, tenantId, preemptible, demand } = record.job.workload;
    this.#ledger.takeBack(id);
    this.#budgeted.delete(id);
    this.#quotas.count(tenantId, preemptible, -(demand.gpus ?? 0));
  }

  ended(
    { record, attempt, alive }: Execution<Request, Placement>,
    sighting: Sighting,
    end: { outcome: string; cause: string | null },
  ): void {
    const { id } = record.job.workload;
    this.#note(() => `attempt ${attempt} of ${id} ends: ${sighting}, ${end.outcome} ${end.cause ?? ''}`);
    if (sighting === 'failedByUser') this.#ownErrors.add(id);
    if (end.outcome === 'succeeded') {
      const count = (this.#successes.get(id) ?? 0) + 1;
      this.#successes.set(id, count);
      if (count > 1) this.broken('a job succeeds once', `${id} for the ${count}th time, by attempt ${attempt}`);
    }
    // A lease that is over ends even what lives: nobody can know. Anything else must be true.
    if (end.outcome === 'lost' && alive && sighting !== 'leaseOver')
      this.broken('a healthy job is not restarted', `attempt ${attempt} of ${id} was well, and ended by ${sighting}`);
  }

  afterDecision(): void {
    this.made += 1;
    const { world } = this;
    const quota = this.#quotas.broken();
    if (quota) this.broken(...quota);
    for (const id of this.#budgeted) {
      const budget = world.records.get(id)?.job.workload.budgetMicroUsd ?? Number.POSITIVE_INFINITY;
      const spent = world.queue.spentMicroUsd(id, world.nowMs);
      if (spent > budget) this.broken('no budget is passed', `${id} has spent ${spent} of ${budget} micro-USD`);
    }
    if (this.made % world.terms.explainEvery === 0) this.#explains();
  }

  /** Of one that waits, each time another: what it is told is what is decided. */
  #explains(): void {
    const { waiting, queue, nowMs, ground } = this.world;
    this.#asked += 1;
    let at = this.#asked % Math.max(1, waiting.size);
    for (const { job } of waiting) {
      if (at > 0) {
        at -= 1;
        continue;
      }
      const { id, request, budgetMicroUsd, cheapWindow } = job.workload;
      const told = ground.contradiction(request);
      if (told !== null) this.broken('what is explained is what is decided', `${id}: ${told}`);
      // What waits for a price or after a fault looks again in its own time.
      if (budgetMicroUsd !== null || cheapWindow !== null) return;
      const { wait, state } = queue.explain(id, nowMs);
      if (state === 'queued' && wait === null)
        this.broken('what is explained is what is decided', `${id} is told that it goes, and does not`);
      return;
    }
  }

  /** All machines are back and nothing comes any more: whatever waits has a reason that time does not cure. */
  atTheEnd(): void {
    const { world } = this;
    for (const { job, outcome } of world.records.values()) {
      const { id, request, deadlineMs } = job.workload;
      const successes = this.#successes.get(id) ?? 0;
      if (outcome === 'succeeded' && successes !== 1)
        this.broken('a job succeeds once', `${id} succeeded ${successes} times`);
      if (outcome !== null) continue;
      const { wait, sentence } = world.queue.explain(id, world.nowMs);
      const code = wait?.code ?? null;
      const byPrice = code === 'budget' || (code === 'price' && deadlineMs === null);
      const unbounded = code === 'loan' || code === 'behind-loan' || code === 'behind-quota';
      const tooDear = code === 'no-room' && !world.ground.couldCarry(request);
      if (!byPrice && !unbounded && !tooDear) this.broken('nobody starves', `${id} never ran: ${sentence}`);
    }
  }
}
