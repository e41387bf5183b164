/** Runs the queue in virtual time over a few machines, where work takes exactly as long as it says. */
import {
  type Demand,
  DevicePools,
  defaultQueueTerms,
  isRefusal,
  type PoolPlacement,
  type PoolRequest,
  Queue,
  type QueueDecision,
  type QueueTerms,
  type TenantTerms,
  type Workload,
} from '../index.js';

export type TrialWorkload = Workload<PoolRequest>;
export type TrialDecision = QueueDecision<PoolPlacement> & { atMs: number };

export const minuteMs = 60_000;

export function workload(
  id: string,
  more: Partial<TrialWorkload> & { devices?: number; workers?: number; kind?: string } = {},
) {
  const { devices = 1, workers = 1, kind = 'a', ...rest } = more;
  const request = { kind, workers, devicesEach: devices };
  const made: TrialWorkload = {
    id,
    tenantId: 't0',
    priorityClass: 'normal',
    submittedAtMs: 0,
    request,
    shape: JSON.stringify(request),
    demand: { gpus: devices * workers },
    preemptible: false,
    expectedDurationMs: 10 * minuteMs,
    deadlineMs: null,
    cheapWindow: null,
    budgetMicroUsd: null,
    ...rest,
  };
  return made;
}

export const tenant = (tenantId: string, more: Partial<TenantTerms> = {}): TenantTerms => ({
  tenantId,
  weight: 1,
  quota: null,
  cohort: null,
  borrowingLimit: {},
  ...more,
});

export interface TrialSetting {
  machines: { kind?: string; devices: number; microUsdPerDeviceHour?: number }[];
  tenants: TenantTerms[];
  terms?: Partial<QueueTerms>;
  /** How long told work goes on, of its grace: 0 to 1. */
  stopsAfter?: number;
}

export class Trial {
  readonly ground = new DevicePools();
  readonly queue: Queue<PoolRequest, PoolPlacement>;
  readonly terms: QueueTerms;
  readonly all = new Map<string, TrialWorkload>();
  readonly startedAtMs = new Map<string, number>();
  readonly ended = new Map<string, number>();
  readonly decisions: TrialDecision[] = [];
  /** What runs, where, and when it ends by itself. */
  readonly running = new Map<string, { placement: PoolPlacement; endMs: number; stopMs: number }>();
  nowMs = 0;
  /** Called each time nothing more can be decided. */
  onSettled: () => void = () => undefined;
  onDecision: (decision: TrialDecision) => void = () => undefined;

  constructor(readonly setting: TrialSetting) {
    this.terms = { ...defaultQueueTerms, ...setting.terms };
    this.queue = new Queue(this.ground, this.terms);
    let devices = 0;
    for (const [
      index,
      { kind = 'a', devices: count, microUsdPerDeviceHour = 1_000_000 },
    ] of setting.machines.entries()) {
      this.ground.add({ machineId: `m${index}`, kind, devices: count, microUsdPerDeviceHour });
      devices += count;
    }
    for (const terms of setting.tenants) this.queue.setTenant(terms);
    this.queue.setCapacity({ gpus: devices } satisfies Demand);
  }

  submit(one: TrialWorkload): boolean {
    this.all.set(one.id, one);
    const refused = this.queue.submit(one) !== null;
    if (refused) this.all.delete(one.id);
    return !refused;
  }

  step(): void {
    for (let round = 0; ; round += 1) {
      if (round > 20) throw new Error(`the queue never settles at ${this.nowMs}`);
      const { decisions, settled } = this.queue.decide(this.nowMs, { maxTries: 1_000 });
      for (const decision of decisions) this.#carryOut({ ...decision, atMs: this.nowMs });
      if (settled) break;
    }
    this.onSettled();
  }

  #carryOut(decision: TrialDecision): void {
    this.decisions.push(decision);
    this.onDecision(decision);
    const running = this.running.get(decision.id);
    if (decision.kind === 'admit') {
      this.startedAtMs.set(decision.id, this.nowMs);
      const lastsMs = this.all.get(decision.id)?.expectedDurationMs ?? 30 * minuteMs;
      this.running.set(decision.id, {
        placement: decision.placement,
        endMs: this.nowMs + lastsMs,
        stopMs: Number.POSITIVE_INFINITY,
      });
    } else if (running) {
      const graceMs = decision.kind === 'force' ? 0 : decision.graceUntilMs - this.nowMs;
      running.stopMs = Math.min(running.stopMs, this.nowMs + graceMs * (this.setting.stopsAfter ?? 0.5));
    }
  }

  #nextEnd(): { id: string; atMs: number } | null {
    let next: { id: string; atMs: number } | null = null;
    for (const [id, { endMs, stopMs }] of this.running) {
      const atMs = Math.min(endMs, stopMs);
      if (next === null || atMs < next.atMs || (atMs === next.atMs && id < next.id)) next = { id, atMs };
    }
    return next;
  }

  /** Submits each when its time comes, and goes on until nothing happens any more or the time is over. */
  run(arrivals: TrialWorkload[], untilMs: number): void {
    const waiting = [...arrivals].sort((one, other) => one.submittedAtMs - other.submittedAtMs);
    for (;;) {
      const end = this.#nextEnd();
      const times = [waiting[0]?.submittedAtMs, end?.atMs, this.queue.nextTimeMs() ?? undefined];
      const atMs = Math.min(...times.filter(time => time !== undefined));
      if (!Number.isFinite(atMs) || atMs > untilMs) return;
      this.nowMs = Math.max(this.nowMs, atMs);
      if (end && end.atMs <= this.nowMs) this.#end(end.id);
      else if ((waiting[0]?.submittedAtMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) {
        const arrival = waiting.shift();
        if (arrival) this.submit(arrival);
      }
      this.step();
    }
  }

  #end(id: string): void {
    const running = this.running.get(id);
    this.running.delete(id);
    if (running && running.stopMs < running.endMs) {
      this.queue.freed(id, this.nowMs);
      if (this.queue.stateOf(id) === null) this.ended.set(id, this.nowMs);
    } else {
      this.queue.finished(id, this.nowMs);
      this.ended.set(id, this.nowMs);
    }
  }

  queued(): string[] {
    return [...this.all.keys()].filter(id => this.queue.stateOf(id) === 'queued');
  }

  /** Could it run if it had everything to itself? */
  possible(one: TrialWorkload): boolean {
    const empty = new Trial(this.setting);
    return !isRefusal(empty.ground.place(one.request, null));
  }
}
