/**
 * One simulated system in virtual time: the real queue and the real attempt rules over machines that fail. Truth (what
 * runs where) is kept apart from what the control plane knows, so that the checks can compare the two.
 */
import {
  defaultQueueTerms,
  Queue,
  type QueueDecision,
  type QueueTerms,
  unseen,
} from '@iocloud/control-plane/core/queueing';
import { Attempts } from './attempts.js';
import { Checks } from './checks.js';
import { Failures } from './failures.js';
import type { Priced, SimulatedGround } from './grounds.js';
import { Random } from './random.js';
import { type AnyQueue, RebuiltQueue } from './rebuilt-queue.js';
import { type Bug, Executions, type JobRecord } from './records.js';
import { Tally } from './report.js';
import type { Scenario, SimulatedJob } from './scenario.js';
import { Timeline } from './timeline.js';

export interface WorldTerms {
  queue: QueueTerms;
  /** The control plane decides at most once in so long; 0: at once when anything happens. */
  roundMs: number;
  /** One in so many times that it decided, what is explained is compared with what is decided. */
  explainEvery: number;
  /** At the end of the time in which work arrives, rather than when all of it has ended. */
  endsEarly: boolean;
  bugs: ReadonlySet<Bug>;
  /** The queue is built anew for each decision, as the product does. */
  rebuilds: boolean;
}

/** Looks at prices are rarer than in the product: most of a run would be spent on them. */
export const seedTerms: WorldTerms = {
  queue: { ...defaultQueueTerms, priceLookMs: 900_000 },
  roundMs: 0,
  explainEvery: 16,
  endsEarly: false,
  bugs: new Set(),
  rebuilds: false,
};

/** A world that is not at rest by then has lost track of something. */
const longestWaitMs = 24 * 3_600_000;

export class World<Request, Placement extends Priced> {
  readonly queue: AnyQueue<Request, Placement>;
  readonly records = new Map<string, JobRecord<Request, Placement>>();
  /** Those that the queue has waiting. */
  readonly waiting = new Set<JobRecord<Request, Placement>>();
  readonly executions = new Executions<Request, Placement>();
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly checks: Checks<Request, Placement>;
  readonly tally: Tally;
  readonly attempts: Attempts<Request, Placement>;
  readonly failures: Failures<Request, Placement>;
  /** When something last happened but that what waits was looked at again. */
  lastNewsMs = 0;
  /** Called when the control plane has decided. */
  onRound: () => void = () => undefined;
  #stopped = false;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #roundAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    readonly scenario: Scenario<Request>,
    readonly ground: SimulatedGround<Request, Placement>,
    readonly terms: WorldTerms = seedTerms,
  ) {
    this.random = new Random(scenario.seed + 7_919);
    this.queue = terms.rebuilds
      ? new RebuiltQueue(ground, terms.queue, terms.bugs.has('no-memory'))
      : new Queue(ground, terms.queue);
    const quotas = terms.bugs.has('double-quota') ? 2 : 1;
    for (const tenant of scenario.tenants) {
      const { quota } = tenant;
      this.queue.setTenant({ ...tenant, quota: quota && { gpus: quotas * (quota.gpus ?? 0) } });
    }
    this.queue.setCapacity({ gpus: scenario.gpus });
    this.checks = new Checks(this);
    this.tally = new Tally(scenario);
    this.attempts = new Attempts(this);
    this.failures = new Failures(this);
    this.timeline.each(
      scenario.jobs,
      ({ workload }) => workload.submittedAtMs,
      job => this.failures.whenUp(() => this.#submit(job)),
    );
    this.timeline.each(
      scenario.faults,
      ({ atMs }) => atMs,
      fault => this.failures.strike(fault),
    );
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  /** Until nothing happens any more but that what waits for a price looks at it. */
  run(): void {
    const { hours } = this.scenario.size;
    const untilMs = this.terms.endsEarly ? () => hours * 3_600_000 : () => this.#restsFromMs();
    while (!this.#stopped && this.timeline.step(untilMs));
    if (!this.#stopped && !this.terms.endsEarly) this.checks.atTheEnd();
  }

  /**
   * While work arrives, anything runs or is broken, more will happen. After that only time makes a difference: the patience
   * of those who wait for a loan, another look at prices, and the deadlines of those who wait for low ones.
   */
  #restsFromMs(): number {
    if (this.executions.size > 0 || !this.failures.allIsWell) return this.lastNewsMs + longestWaitMs;
    const { loanPatienceMs, priceLookMs } = this.terms.queue;
    let forcedMs = Math.max(this.lastNewsMs, this.scenario.size.hours * 3_600_000);
    for (const { job } of this.waiting) forcedMs = Math.max(forcedMs, job.workload.deadlineMs ?? 0);
    return forcedMs + loanPatienceMs + 2 * priceLookMs;
  }

  /** After what happens just now. */
  stop(): void {
    this.#stopped = true;
    this.tally.endsAt(this.nowMs);
  }

  #submit(job: SimulatedJob<Request>): void {
    const { id, request } = job.workload;
    const refused = !this.ground.couldCarry(request) || this.queue.submit(job.workload) !== null;
    this.tally.submitted(job, refused);
    if (refused) return;
    const record = {
      job,
      live: null,
      view: unseen,
      failures: 0,
      outcome: null,
      savedMs: 0,
      costMicroUsd: 0,
      execution: null,
    };
    this.records.set(id, record);
    this.waiting.add(record);
    this.decide();
  }

  /** At once, or with the next round. */
  decide(): void {
    const { roundMs } = this.terms;
    if (roundMs === 0) this.#decideNow();
    else if (this.#roundAtMs <= this.nowMs) {
      this.#roundAtMs = (Math.floor(this.nowMs / roundMs) + 1) * roundMs;
      this.timeline.at(this.#roundAtMs, () => this.#decideNow());
    }
  }

  #decideNow(): void {
    if (this.failures.isDown) return;
    for (let round = 0; ; round += 1) {
      const { decisions, settled } = this.queue.decide(this.nowMs, { maxTries: 20_000 });
      for (const decision of decisions) this.#carryOut(decision);
      if (decisions.length > 0) this.lastNewsMs = this.nowMs;
      // What is ended by force is free at once: others may go there.
      if (settled && decisions.every(({ kind }) => kind !== 'force')) break;
      if (round > 50) this.checks.broken('the queue settles', `not at ${this.nowMs} ms`);
    }
    this.checks.afterDecision();
    this.onRound();
    const wakeAtMs = this.queue.nextTimeMs() ?? Number.POSITIVE_INFINITY;
    if (wakeAtMs < this.#wakeAtMs && this.queue.size > 0) {
      this.#wakeAtMs = wakeAtMs;
      this.timeline.at(wakeAtMs, () => {
        this.#wakeAtMs = Number.POSITIVE_INFINITY;
        this.decide();
      });
    }
  }

  #carryOut(decision: QueueDecision<Placement>): void {
    const record = this.records.get(decision.id);
    if (!record) throw new Error(`a decision about ${decision.id}, which was never submitted`);
    this.checks.decided(decision);
    this.tally.decided(decision, record.job.workload, this.nowMs);
    if (decision.kind === 'admit') {
      this.waiting.delete(record);
      this.attempts.start(record, decision);
    } else if (decision.kind === 'force') this.attempts.force(record);
    else this.attempts.signal(record, decision.graceUntilMs);
  }

  groundChanged(): void {
    this.lastNewsMs = this.nowMs;
    this.queue.groundChanged();
    this.decide();
  }
}
