/** What must be true of the simulated system at every step. A breach ends the run with what led to it. */
import {
  defaultOrderTerms,
  type PoolPlacement,
  priorityClasses,
  type QueueDecision,
  rankMs,
  type Sighting,
} from '@iocloud/control-plane/core/queueing';
import type { Execution, Record as JobRecord, World } from './world.js';

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

export class Checks {
  /** Who has a device, by the decisions alone. */
  readonly #devices = new Map<string, string>();
  readonly #heldBy = new Map<string, string[]>();
  readonly #successes = new Map<string, number>();
  readonly #used = new Map<string, number>();
  readonly #usedFirmly = new Map<string, number>();
  readonly #stoppedFor = new Set<string>();
  readonly #trace: string[] = [];
  readonly #limited: ReadonlySet<string>;
  /** How many times something was looked at. */
  made = 0;

  constructor(readonly world: World) {
    const limited = world.scenario.tenants.filter(({ quota }) => quota !== null);
    this.#limited = new Set(limited.map(({ tenantId }) => tenantId));
  }

  broken(invariant: string, details: string): never {
    throw new Breach(invariant, details, [...this.#trace]);
  }

  #note(line: string): void {
    this.#trace.push(`${(this.world.nowMs / 1000).toFixed(3)} s ${line}`);
    if (this.#trace.length > traced) this.#trace.shift();
  }

  decided(decision: QueueDecision<PoolPlacement>): void {
    const { records } = this.world;
    const { id } = decision;
    this.#note(
      decision.kind === 'admit'
        ? `admit ${id}, attempt ${decision.admission}, on ${decision.placement.parts.map(({ machineId, devices }) => `${machineId}[${devices}]`).join(' ')}`
        : JSON.stringify(decision),
    );
    if (decision.kind === 'admit') this.#admitted(id, decision.placement, decision.backfills);
    if (decision.kind !== 'stop' || decision.why === 'budget') return;
    if (decision.forId !== null) this.#stoppedFor.add(decision.forId);
    const victim = records.get(id)?.job.workload;
    const winner = records.get(decision.forId ?? '')?.job.workload;
    if (!victim || !winner) this.broken('work is stopped for other work', JSON.stringify(decision));
    if (!victim.preemptible) this.broken('only preemptible work is stopped', JSON.stringify(decision));
    const [low, high] = [victim, winner].map(one => priorityClasses.indexOf(one.priorityClass)) as [number, number];
    const allowed = decision.why === 'reclaimed' ? low <= high : low < high;
    if (!allowed) this.broken('no work is stopped for work of a lower class', JSON.stringify(decision));
  }

  #admitted(id: string, { parts }: PoolPlacement, backfills: boolean): void {
    const workload = this.world.records.get(id)?.job.workload;
    if (!workload) this.broken('only submitted work is admitted', id);
    const { workers, devicesEach, kind } = workload.request;
    const keys = parts.flatMap(({ machineId, devices }) => devices.map(device => `${machineId}/${device}`));
    const whole = parts.length === workers && parts.every(({ devices }) => devices.length === devicesEach);
    if (!whole || new Set(keys).size !== keys.length) this.broken('gangs are whole', `${id} got ${keys.join()}`);
    for (const key of keys) {
      const holder = this.#devices.get(key);
      if (holder !== undefined)
        this.broken('a device is in one lease at most', `${key} goes to ${id}, ${holder} has it`);
      this.#devices.set(key, id);
    }
    this.#heldBy.set(id, keys);
    this.#count(id, keys.length);
    // What others were stopped for goes where they were.
    if (!this.#stoppedFor.delete(id) && !backfills) this.#fairly(id, kind, workers, devicesEach);
  }

  /** What is older by more than the order can make up for, asks for no more and waits for room, is not passed. */
  #fairly(id: string, kind: string, workers: number, devicesEach: number): void {
    const { records, queue, nowMs } = this.world;
    const workload = records.get(id)?.job.workload;
    if (!workload || records.size > 400) return;
    const latestMs = rankMs(workload, defaultOrderTerms) - defaultOrderTerms.fairnessMs;
    for (const other of records.values()) {
      const { request, ...rest } = other.job.workload;
      if (rankMs(rest, defaultOrderTerms) >= latestMs || queue.stateOf(rest.id) !== 'queued') continue;
      if (request.kind !== kind || request.workers > workers || request.devicesEach > devicesEach) continue;
      const priced = rest.budgetMicroUsd !== null || rest.cheapWindow !== null;
      // It is explained as of now, when the room has been given away: whether it had a right to go before is known only
      // where no quota comes in.
      if (priced || this.#limited.has(rest.tenantId)) continue;
      const { wait } = queue.explain(rest.id, nowMs);
      if (wait?.code === 'no-room')
        this.broken('nobody starves', `${id} goes before ${rest.id}, which is older and asks for no more`);
    }
  }

  #count(id: string, gpus: number): void {
    const workload = this.world.records.get(id)?.job.workload;
    if (!workload) return;
    const { tenantId, preemptible } = workload;
    this.#used.set(tenantId, (this.#used.get(tenantId) ?? 0) + gpus);
    if (!preemptible) this.#usedFirmly.set(tenantId, (this.#usedFirmly.get(tenantId) ?? 0) + gpus);
  }

  started(execution: Execution): void {
    const { record } = execution;
    if (record.endedByUser) this.broken("the user's own error is never tried again", record.job.workload.id);
    if (record.outcome !== null) this.broken('what has ended stays ended', record.job.workload.id);
  }

  /** By the time that it ran in truth. */
  paid({ job, costMicroUsd }: JobRecord): void {
    const { id, budgetMicroUsd } = job.workload;
    if (budgetMicroUsd !== null && costMicroUsd > budgetMicroUsd) {
      this.broken('no budget is passed', `${id} has run for ${costMicroUsd} of ${budgetMicroUsd} micro-USD`);
    }
  }

  released({ record }: Execution): void {
    const { id } = record.job.workload;
    const keys = this.#heldBy.get(id) ?? [];
    for (const key of keys) this.#devices.delete(key);
    this.#heldBy.delete(id);
    this.#count(id, -keys.length);
  }

  ended(execution: Execution, sighting: Sighting, end: { outcome: string; cause: string | null }): void {
    const { id } = execution.record.job.workload;
    this.#note(`attempt ${execution.attempt} of ${id} ends: ${sighting}, ${end.outcome} ${end.cause ?? ''}`);
    if (end.outcome === 'succeeded') {
      const count = (this.#successes.get(id) ?? 0) + 1;
      this.#successes.set(id, count);
      if (count > 1)
        this.broken('a job succeeds once', `${id} for the ${count}th time, by attempt ${execution.attempt}`);
    }
    // A lease that is over ends even what lives: nobody can know. Anything else must be true.
    if (end.outcome === 'lost' && execution.alive && sighting !== 'leaseOver') {
      this.broken(
        'a healthy job is not restarted',
        `attempt ${execution.attempt} of ${id} was well, and ended by ${sighting}`,
      );
    }
  }

  afterDecision(): void {
    this.made += 1;
    const { world } = this;
    const alive = new Map<string, number>();
    for (const { record, attempt, alive: lives } of world.executions) {
      if (!lives || (record.live !== attempt && !world.bugs.has('no-fence'))) continue;
      const { id } = record.job.workload;
      alive.set(id, (alive.get(id) ?? 0) + 1);
      if ((alive.get(id) ?? 0) > 1) this.broken('at most one attempt that is not fenced', id);
    }
    this.#quotas();
    for (const id of this.#heldBy.keys()) {
      const budget = world.records.get(id)?.job.workload.budgetMicroUsd ?? null;
      if (budget === null) continue;
      const spent = world.queue.spentMicroUsd(id, world.nowMs);
      if (spent > budget) this.broken('no budget is passed', `${id} has spent ${spent} of ${budget} micro-USD`);
    }
  }

  #quotas(): void {
    const cohorts = new Map<string, { quota: number; used: number }>();
    for (const { tenantId, quota, cohort, borrowingLimit } of this.world.scenario.tenants) {
      if (quota === null) continue;
      const own = quota.gpus ?? 0;
      const used = this.#used.get(tenantId) ?? 0;
      const loan = cohort === null ? 0 : (borrowingLimit.gpus ?? Number.POSITIVE_INFINITY);
      if (used > own + loan) this.broken('quotas hold', `${tenantId} has ${used}, may have ${own} and borrow ${loan}`);
      if ((this.#usedFirmly.get(tenantId) ?? 0) > own) this.broken('only preemptible work borrows', tenantId);
      if (cohort === null) continue;
      const sum = cohorts.get(cohort) ?? { quota: 0, used: 0 };
      cohorts.set(cohort, { quota: sum.quota + own, used: sum.used + used });
    }
    for (const [cohort, { quota, used }] of cohorts) {
      if (used > quota) this.broken('a cohort lends only what it has', `${cohort} uses ${used} of ${quota}`);
    }
  }

  /** All machines are back and nothing comes any more: whatever waits has a reason that time does not cure. */
  atTheEnd(): void {
    const { world } = this;
    for (const { job, outcome } of world.records.values()) {
      const { id } = job.workload;
      const successes = this.#successes.get(id) ?? 0;
      if (outcome === 'succeeded' && successes !== 1)
        this.broken('a job succeeds once', `${id} succeeded ${successes} times`);
      if (outcome !== null) continue;
      const explanation = world.queue.explain(id, world.nowMs);
      const code = explanation.wait?.code ?? null;
      const byPrice = code === 'budget' || (code === 'price' && job.workload.deadlineMs === null);
      const unbounded = code === 'loan' || code === 'behind-loan' || code === 'behind-quota';
      if (!byPrice && !unbounded) this.broken('nobody starves', `${id} never ran: ${explanation.sentence}`);
    }
  }
}
