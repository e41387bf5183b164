/**
 * The queue as the product runs it: built anew for each decision from what is on record, and forgotten. What is on record is
 * what the product's tables hold of jobs and attempts; between decisions only that is changed.
 */
import {
  type Demand,
  type Explanation,
  type Ground,
  type Memory,
  Queue,
  type QueueDecision,
  type QueueTerms,
  type Step,
  type Stop,
  type TenantTerms,
  type Workload,
  type WorkloadState,
} from '@iocloud/control-plane/core/queueing';
import type { Priced } from './grounds.js';

/** What the simulated control plane asks of its queue. */
export type AnyQueue<Request, Placement extends Priced> = Pick<
  Queue<Request, Placement>,
  | 'setTenant'
  | 'setCapacity'
  | 'submit'
  | 'decide'
  | 'nextTimeMs'
  | 'explain'
  | 'stateOf'
  | 'spentMicroUsd'
  | 'finished'
  | 'freed'
  | 'lost'
  | 'groundChanged'
  | 'size'
>;

interface OnRecord<Request, Placement> {
  workload: Workload<Request>;
  admissions: number;
  spentMicroUsd: number;
  notBeforeMs: number;
  attempt: {
    placement: Placement;
    sinceMs: number;
    stopAtMs: number | null;
    stop: Stop | null;
    forced: boolean;
  } | null;
  memory: Memory<Placement> | null;
}

export class RebuiltQueue<Request, Placement extends Priced> implements AnyQueue<Request, Placement> {
  readonly #records = new Map<string, OnRecord<Request, Placement>>();
  readonly #tenants: TenantTerms[] = [];
  #capacity: Demand = {};
  #queue: Queue<Request, Placement>;
  /** What the queue of the last decision holds of the ground. */
  #held = new Set<string>();
  #nowMs = 0;

  constructor(
    readonly ground: Ground<Request, Placement>,
    readonly terms: QueueTerms,
    /** A planted bug: what the queue of before knew is forgotten. */
    readonly forgets = false,
  ) {
    this.#queue = new Queue(ground, terms);
  }

  setTenant(tenant: TenantTerms): void {
    this.#tenants.push(tenant);
    this.#queue.setTenant(tenant);
  }

  setCapacity(capacity: Demand): void {
    this.#capacity = capacity;
    this.#queue.setCapacity(capacity);
  }

  submit(workload: Workload<Request>): { refused: string } | null {
    const refused = this.#queue.submit(workload);
    if (refused) return refused;
    const fresh = { workload, admissions: 0, spentMicroUsd: 0, notBeforeMs: workload.submittedAtMs };
    this.#records.set(workload.id, { ...fresh, attempt: null, memory: null });
    return null;
  }

  decide(nowMs: number): Step<Placement> {
    this.#nowMs = nowMs;
    this.#rebuild(nowMs);
    const { decisions, settled } = this.#queue.decide(nowMs);
    for (const decision of decisions) this.#note(decision, nowMs);
    for (const [id, record] of this.#records) {
      if (record.attempt === null && this.#queue.stateOf(id) === 'queued') {
        record.memory = this.forgets ? null : this.#queue.memoryOf(id);
      }
    }
    return { decisions: [...decisions, ...this.#forces(nowMs)], settled };
  }

  #rebuild(nowMs: number): void {
    // Places that were kept go with the queue that kept them.
    for (const id of new Set([...this.#records.keys(), ...this.#held])) {
      this.ground.release(id);
      this.ground.release(`reservation of ${id}`);
    }
    this.#held = new Set(this.#records.keys());
    this.#queue = new Queue(this.ground, this.terms);
    for (const tenant of this.#tenants) this.#queue.setTenant(tenant);
    this.#queue.setCapacity(this.#capacity);
    const records = [...this.#records.values()];
    for (const record of records.filter(({ attempt }) => attempt !== null)) this.#adopt(record);
    for (const record of records) if (record.attempt === null && record.notBeforeMs <= nowMs) this.#adopt(record);
  }

  #adopt({ workload, admissions, spentMicroUsd, attempt, memory }: OnRecord<Request, Placement>): void {
    const expectedMs = workload.expectedDurationMs;
    const refused = this.#queue.submit(workload, {
      admissions,
      spentMicroUsd,
      held: attempt && {
        placement: attempt.placement,
        sinceMs: attempt.sinceMs,
        checkpointedAtMs: attempt.sinceMs,
        expectedEndMs: expectedMs === null ? null : attempt.sinceMs + expectedMs,
        stopAtMs: attempt.stopAtMs,
      },
      stop: attempt?.stop ?? null,
      memory,
    });
    if (refused) throw new Error(`${workload.id} was taken in before and is refused now: ${refused.refused}`);
  }

  #note(decision: QueueDecision<Placement>, nowMs: number): void {
    const record = this.#record(decision.id);
    if (decision.kind === 'admit') {
      const { placement, stopAtMs } = decision;
      record.admissions += 1;
      record.memory = null;
      record.attempt = { placement, sinceMs: nowMs, stopAtMs, stop: null, forced: false };
    } else if (decision.kind === 'stop' && record.attempt) {
      const { why, forId, graceUntilMs } = decision;
      record.attempt.stop = { why, forId, graceUntilMs };
    }
  }

  /** The machines see to the end of the grace; nothing of it is on record but when that is. */
  #forces(nowMs: number): QueueDecision<Placement>[] {
    const due = [...this.#records].filter(
      ([, { attempt }]) => attempt?.stop && !attempt.forced && attempt.stop.graceUntilMs <= nowMs,
    );
    return due.map(([id, { attempt }]) => {
      if (attempt) attempt.forced = true;
      return { kind: 'force', id };
    });
  }

  nextTimeMs(): number | null {
    const times = [...this.#records.values()].flatMap(({ attempt, notBeforeMs }) => {
      if (attempt?.stop && !attempt.forced) return [attempt.stop.graceUntilMs];
      return attempt === null ? [notBeforeMs] : [];
    });
    const next = this.#queue.nextTimeMs();
    const future = times.filter(timeMs => timeMs > this.#nowMs);
    if (next !== null) future.push(Math.max(next, this.#nowMs + 1_000));
    return future.length === 0 ? null : Math.min(...future);
  }

  explain(id: string, nowMs: number): Explanation {
    if (this.#queue.stateOf(id) !== null) return this.#queue.explain(id, nowMs);
    const { notBeforeMs, spentMicroUsd } = this.#record(id);
    return {
      state: 'queued',
      wait: { code: 'backoff', untilMs: notBeforeMs },
      sentence: 'It waits before it is tried again.',
      expectedStartMs: null,
      firstFromMs: notBeforeMs,
      spentMicroUsd,
    };
  }

  stateOf(id: string): WorkloadState | null {
    const record = this.#records.get(id);
    if (!record) return null;
    return record.attempt === null ? 'queued' : record.attempt.stop ? 'stopping' : 'running';
  }

  spentMicroUsd(id: string, nowMs: number): number {
    const record = this.#record(id);
    return this.#queue.stateOf(id) === null ? record.spentMicroUsd : this.#queue.spentMicroUsd(id, nowMs);
  }

  finished(id: string, nowMs: number): void {
    this.#queue.finished(id, nowMs);
    this.#records.delete(id);
  }

  freed(id: string, nowMs: number): void {
    const ended = this.#record(id).attempt?.stop?.why === 'budget';
    this.#queue.freed(id, nowMs);
    this.#waitsAgain(id, nowMs, nowMs, ended);
  }

  lost(id: string, nowMs: number, notBeforeMs: number): void {
    const ended = this.#record(id).attempt?.stop?.why === 'budget';
    this.#queue.lost(id, nowMs, notBeforeMs);
    this.#waitsAgain(id, nowMs, notBeforeMs, ended);
  }

  #waitsAgain(id: string, nowMs: number, notBeforeMs: number, ended: boolean): void {
    if (ended) {
      this.#records.delete(id);
      return;
    }
    const record = this.#record(id);
    record.spentMicroUsd = this.#queue.spentMicroUsd(id, nowMs);
    record.attempt = null;
    record.notBeforeMs = notBeforeMs;
  }

  groundChanged(): void {
    this.#queue.groundChanged();
  }

  get size(): number {
    return this.#records.size;
  }

  #record(id: string): OnRecord<Request, Placement> {
    const record = this.#records.get(id);
    if (!record) throw new Error(`nothing is on record of ${id}`);
    return record;
  }
}
