/**
 * One simulated system in virtual time: the real queue and the real attempt rules over machines that fail. Truth (what
 * runs where) is kept apart from what the control plane knows, so that the checks can compare the two.
 */
import {
  type AttemptView,
  costMicroUsd,
  defaultQueueTerms,
  defaultRetryTerms,
  isFenced,
  leaseEndsMs,
  nextAttempt,
  OrderedHeap,
  type PoolPlacement,
  type PoolRequest,
  Queue,
  type QueueDecision,
  type Sighting,
  see,
  unseen,
} from '@iocloud/control-plane/core/queueing';
import { Checks } from './checks.js';
import type { SimulatedGround } from './grounds.js';
import { Random } from './random.js';
import { Tally } from './report.js';
import type { Fault, Scenario, SimulatedJob } from './scenario.js';

/** What the simulated control plane keeps of a job. */
export interface Record {
  readonly job: SimulatedJob;
  /** Number of the attempt whose word counts. */
  live: number | null;
  view: AttemptView;
  failures: number;
  outcome: 'succeeded' | 'failed' | 'stopped' | 'exhausted' | null;
  endedByUser: boolean;
  /** Work that no attempt has to do again. */
  savedMs: number;
  /** For the time that its attempts ran in truth. */
  costMicroUsd: number;
  execution: Execution | null;
}

/** What runs in truth, whatever the control plane thinks. */
export interface Execution {
  readonly record: Record;
  readonly attempt: number;
  readonly placement: PoolPlacement;
  readonly startedAtMs: number;
  /** False once its processes have ended. */
  alive: boolean;
  /** It ended, and its word has not been heard yet. */
  unheard: Sighting | null;
}

/** Bugs to plant, to see that the checks find them. */
export type Bug = 'no-fence' | 'probe-restarts' | 'shared-devices';

interface Happening {
  atMs: number;
  number: number;
  run(): void;
}

/** Silence after which a machine gets no new work, and after which its lease is over. */
const noticeMs = 5_000;
const silenceMs = 60_000;
/** No deadline is further away, nor any job longer (see `scenario.ts`). */
const longestWaitMs = 24 * 3_600_000;
/** Looks at prices are rarer than in the product: most of a run would be spent on them. */
const terms = { ...defaultQueueTerms, priceLookMs: 900_000 };
const doubtful: readonly Sighting[] = ['slow', 'timedOut', 'refused', 'unreachable'];

export class World {
  readonly queue: Queue<PoolRequest, PoolPlacement>;
  readonly records = new Map<string, Record>();
  readonly executions = new Set<Execution>();
  readonly checks: Checks;
  readonly tally: Tally;
  nowMs = 0;
  readonly #random: Random;
  readonly #happenings = new OrderedHeap<Happening>((one, other) =>
    one.atMs === other.atMs ? one.number < other.number : one.atMs < other.atMs,
  );
  #scheduled = 0;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #listeningSinceMs = 0;
  #downUntilMs = 0;
  #lastNewsMs = 0;
  /** Since when a machine cannot be heard. */
  readonly #silentSince = new Map<string, number>();
  readonly #dead = new Set<string>();

  constructor(
    readonly scenario: Scenario,
    readonly ground: SimulatedGround,
    readonly bugs: ReadonlySet<Bug> = new Set(),
  ) {
    this.#random = new Random(scenario.seed + 7_919);
    this.queue = new Queue(ground, terms);
    for (const machine of scenario.machines) ground.add(machine);
    for (const terms of scenario.tenants) this.queue.setTenant(terms);
    const gpus = scenario.machines.reduce((sum, { devices }) => sum + devices, 0);
    this.queue.setCapacity({ gpus });
    this.checks = new Checks(this);
    this.tally = new Tally(scenario, gpus);
    for (const job of scenario.jobs) this.#at(job.workload.submittedAtMs, () => this.#submit(job));
    for (const fault of scenario.faults) this.#at(fault.atMs, () => this.#strike(fault));
  }

  /** Until nothing happens any more but that what waits for a price looks at it: longer than any deadline is ahead. */
  run(): void {
    for (let next = this.#happenings.first(); next; next = this.#happenings.first()) {
      this.#happenings.remove(next);
      if (next.atMs - this.#lastNewsMs > longestWaitMs) break;
      this.tally.pass(next.atMs - this.nowMs, this.executions);
      this.nowMs = next.atMs;
      next.run();
    }
    this.checks.atTheEnd();
  }

  #at(atMs: number, run: () => void): void {
    this.#scheduled += 1;
    this.#happenings.add({ atMs: Math.max(atMs, this.nowMs), number: this.#scheduled, run });
  }

  /** When the control plane works: at once, or when it is up again. */
  #hearing(run: () => void): void {
    if (this.#downUntilMs > this.nowMs) this.#at(this.#downUntilMs, run);
    else run();
  }

  #submit(job: SimulatedJob): void {
    this.#hearing(() => {
      const { id } = job.workload;
      const refused = this.queue.submit(job.workload);
      this.tally.submitted(refused !== null);
      if (refused) return;
      this.records.set(id, {
        job,
        live: null,
        view: unseen,
        failures: 0,
        outcome: null,
        endedByUser: false,
        savedMs: 0,
        costMicroUsd: 0,
        execution: null,
      });
      this.#decide();
    });
  }

  #decide(): void {
    if (this.#downUntilMs > this.nowMs) return;
    for (let round = 0; ; round += 1) {
      const { decisions, settled } = this.queue.decide(this.nowMs, { maxTries: 2_000 });
      for (const decision of decisions) this.#carryOut(decision);
      if (decisions.length > 0) this.#lastNewsMs = this.nowMs;
      if (settled || round > 50) {
        if (!settled) this.checks.broken('the queue never settles', `at ${this.nowMs}`);
        break;
      }
    }
    this.checks.afterDecision();
    const wakeAtMs = this.queue.nextTimeMs() ?? Number.POSITIVE_INFINITY;
    if (wakeAtMs < this.#wakeAtMs && this.queue.size > 0) {
      this.#wakeAtMs = wakeAtMs;
      this.#at(wakeAtMs, () => {
        this.#wakeAtMs = Number.POSITIVE_INFINITY;
        this.#decide();
      });
    }
  }

  #carryOut(decision: QueueDecision<PoolPlacement>): void {
    const record = this.#record(decision.id);
    this.checks.decided(decision);
    this.tally.decided(decision, record, this.nowMs);
    if (decision.kind === 'admit') this.#start(record, decision);
    else if (decision.kind === 'force') this.#force(record);
    else this.#signal(record, decision.graceUntilMs);
  }

  #start(
    record: Record,
    { admission: attempt, placement, endAtMs }: Extract<QueueDecision<PoolPlacement>, { kind: 'admit' }>,
  ): void {
    record.live = attempt;
    record.view = unseen;
    const execution: Execution = { record, attempt, placement, startedAtMs: this.nowMs, alive: true, unheard: null };
    record.execution = execution;
    if (placement.parts.some(({ machineId }) => this.#dead.has(machineId))) this.#dies(execution);
    this.executions.add(execution);
    const { workMs, failsAfterMs } = record.job;
    const fails = failsAfterMs !== null && failsAfterMs >= record.savedMs;
    const lastsMs = (fails ? failsAfterMs : workMs) - record.savedMs;
    this.#at(this.nowMs + lastsMs, () => this.#ends(execution, fails ? 'failedByUser' : 'succeeded'));
    // The machine keeps to the budget's end by itself.
    if (endAtMs !== null) this.#at(endAtMs, () => this.#ends(execution, 'stopped'));
    this.checks.started(execution);
  }

  /** It comes to an end by itself, and says so as soon as it can be heard. */
  #ends(execution: Execution, word: Sighting): void {
    if (!execution.alive) return;
    this.#dies(execution);
    execution.unheard = word;
    this.#say(execution);
  }

  #dies(execution: Execution): void {
    if (!execution.alive) return;
    execution.alive = false;
    if (execution.record.live === execution.attempt) this.#charge(execution);
  }

  /** For the time until its end, or until its fence: what a machine does beyond is its supplier's loss. */
  #charge({ record, placement, startedAtMs }: Execution): void {
    record.costMicroUsd += costMicroUsd(placement.microUsdPerHour, this.nowMs - startedAtMs);
    this.checks.paid(record);
  }

  #say(execution: Execution): void {
    const { unheard } = execution;
    if (unheard === null || execution.placement.parts.some(({ machineId }) => this.#silentSince.has(machineId))) return;
    execution.unheard = null;
    this.#hearing(() => this.#sighted(execution, unheard));
  }

  #signal(record: Record, graceUntilMs: number): void {
    const { execution } = record;
    if (!execution?.alive || this.#isSilent(execution)) return;
    const stopsAtMs = this.nowMs + Math.floor(this.#random.next() * (graceUntilMs - this.nowMs));
    this.#at(stopsAtMs, () => {
      if (!execution.alive || record.live !== execution.attempt) return;
      record.savedMs += this.nowMs - execution.startedAtMs;
      this.#ends(execution, 'preempted');
    });
  }

  /** Its grace is over: the fence goes up, whether or not its machine can be reached, and what holds is free. */
  #force(record: Record): void {
    const { execution } = record;
    if (execution && !this.#isSilent(execution)) this.#dies(execution);
    this.#close(record);
    this.queue.freed(record.job.workload.id, this.nowMs);
    if (this.queue.stateOf(record.job.workload.id) === null) record.outcome = 'stopped';
  }

  #isSilent(execution: Execution): boolean {
    return execution.placement.parts.some(({ machineId }) => this.#silentSince.has(machineId));
  }

  /** The attempt's word counts no more. */
  #close(record: Record): void {
    const { execution } = record;
    if (execution) {
      if (execution.alive) this.#charge(execution);
      this.checks.released(execution);
      if (!execution.alive || !this.bugs.has('no-fence')) this.#keepIfAlive(execution);
    }
    if (!this.bugs.has('no-fence')) record.live = null;
    record.execution = null;
  }

  /** A fenced one may run on where nobody reaches it. */
  #keepIfAlive(execution: Execution): void {
    if (!execution.alive) this.executions.delete(execution);
  }

  /** Something is seen of an attempt: the real rules say what follows. */
  #sighted(execution: Execution, sighting: Sighting): void {
    const { record, attempt } = execution;
    if (isFenced(attempt, record.live) && !this.bugs.has('no-fence')) {
      this.tally.fenced += 1;
      this.executions.delete(execution);
      return;
    }
    const { view, verdict } = see(record.view, sighting);
    record.view = view;
    const wrongly = this.bugs.has('probe-restarts') && view.doubts > 25;
    if (verdict.kind === 'carryOn' && !wrongly) return;
    const end = verdict.kind === 'carryOn' ? { outcome: 'lost' as const, cause: 'headLost' as const } : verdict;
    this.checks.ended(execution, sighting, end);
    this.#close(record);
    this.executions.delete(execution);
    const { id } = record.job.workload;
    const state = this.queue.stateOf(id);
    if (state !== 'running' && state !== 'stopping') return;
    if (end.cause === 'preempted' && state === 'stopping') this.queue.freed(id, this.nowMs);
    else this.#after(record, end);
    if (this.queue.stateOf(id) === null && record.outcome === null) record.outcome = 'stopped';
    this.#decide();
  }

  #after(record: Record, end: Parameters<typeof nextAttempt>[0]): void {
    const { id } = record.job.workload;
    if (end.outcome === 'lost' && end.cause !== 'preempted') record.failures += 1;
    const next = nextAttempt(end, record.failures, { ...defaultRetryTerms, maxAttempts: 20 }, this.nowMs);
    if (next.again) {
      this.tally.migrated(record);
      this.queue.lost(id, this.nowMs, next.notBeforeMs);
      return;
    }
    record.outcome = end.outcome === 'lost' ? 'exhausted' : end.outcome;
    record.endedByUser = end.outcome === 'failed';
    this.tally.ended(record, this.queue.spentMicroUsd(id, this.nowMs));
    this.queue.finished(id, this.nowMs);
  }

  #strike(fault: Fault): void {
    this.tally.faults += 1;
    this.#lastNewsMs = this.nowMs;
    if ('machine' in fault) this.#silence(fault);
    else if (fault.kind === 'control-plane') {
      this.#downUntilMs = Math.max(this.#downUntilMs, this.nowMs + fault.lastsMs);
      this.#at(this.#downUntilMs, () => this.#comesBack());
    } else if (fault.kind === 'price') {
      this.ground.setPrice(fault.model, fault.microUsdPerDeviceHour);
      this.#hearing(() => this.#groundChanged());
    } else if (fault.kind === 'head') this.#headDies(fault.pick);
    else this.#badProbes(fault.each);
  }

  #comesBack(): void {
    if (this.#downUntilMs > this.nowMs) return;
    this.#listeningSinceMs = this.nowMs;
    for (const machineId of this.#silentSince.keys()) this.#watch(machineId);
    this.#decide();
  }

  #silence({ kind, lastsMs, machine }: Extract<Fault, { machine: number }>): void {
    const { machineId } = this.scenario.machines[machine] ?? {};
    if (machineId === undefined || this.#silentSince.has(machineId)) return;
    this.#silentSince.set(machineId, this.nowMs);
    if (kind === 'machine') {
      this.#dead.add(machineId);
      for (const execution of this.#on(machineId)) {
        this.#save(execution);
        this.#dies(execution);
        execution.unheard = null;
      }
    }
    this.#at(this.nowMs + noticeMs, () => {
      if (this.#silentSince.has(machineId)) {
        this.ground.remove(machineId);
        this.#hearing(() => this.#groundChanged());
      }
    });
    this.#watch(machineId);
    this.#at(this.nowMs + lastsMs, () => this.#heal(machineId));
  }

  /** What its checkpoints have kept of the work that it did. */
  #save({ record, startedAtMs, attempt }: Execution): void {
    if (record.live !== attempt) return;
    const { checkpointEveryMs } = record.job;
    record.savedMs += Math.floor((this.nowMs - startedAtMs) / checkpointEveryMs) * checkpointEveryMs;
  }

  #watch(machineId: string): void {
    const sinceMs = this.#silentSince.get(machineId) ?? this.nowMs;
    this.#at(leaseEndsMs(sinceMs, this.#listeningSinceMs, silenceMs), () => {
      if (this.#downUntilMs > this.nowMs || this.#silentSince.get(machineId) !== sinceMs) return;
      if (leaseEndsMs(sinceMs, this.#listeningSinceMs, silenceMs) > this.nowMs) return;
      for (const execution of this.#on(machineId)) {
        if (execution.alive) this.#save(execution);
        this.#sighted(execution, 'leaseOver');
      }
    });
  }

  #heal(machineId: string): void {
    this.#silentSince.delete(machineId);
    this.#dead.delete(machineId);
    this.ground.restore(machineId);
    for (const execution of this.#on(machineId)) {
      if (isFenced(execution.attempt, execution.record.live)) {
        // It says what it has to say, and is then told that it is over.
        if (execution.unheard === null) this.#dies(execution);
        this.#say(execution);
        if (!execution.alive) this.executions.delete(execution);
      } else if (!execution.alive && execution.unheard === null)
        this.#hearing(() => this.#sighted(execution, 'headExited'));
      else this.#say(execution);
    }
    this.#hearing(() => this.#groundChanged());
  }

  #groundChanged(): void {
    this.queue.groundChanged();
    this.#decide();
  }

  #headDies(pick: number): void {
    const all = [...this.executions].filter(execution => execution.alive && !this.#isSilent(execution));
    const execution = all[pick % Math.max(1, all.length)];
    if (!execution) return;
    this.#save(execution);
    this.#dies(execution);
    this.#hearing(() => this.#sighted(execution, 'headExited'));
  }

  #badProbes(each: number): void {
    this.#hearing(() => {
      for (const execution of [...this.executions]) {
        for (let count = 0; count < each && execution.alive; count += 1) {
          this.tally.badProbes += 1;
          this.#sighted(execution, this.#random.pick(doubtful));
        }
      }
    });
  }

  #on(machineId: string): Execution[] {
    return [...this.executions].filter(({ placement }) => placement.parts.some(part => part.machineId === machineId));
  }

  #record(id: string): Record {
    const record = this.records.get(id);
    if (!record) throw new Error(`a decision about ${id}, which was never submitted`);
    return record;
  }
}
