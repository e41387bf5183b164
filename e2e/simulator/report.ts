/** What a run has come to, in figures. */
import {
  type PriorityClass,
  priorityClasses,
  type QueueDecision,
  type Workload,
} from '@iocloud/control-plane/core/queueing';
import { fairness, Wishes } from './fairness.js';
import type { Fault, Scenario, SimulatedJob } from './scenario.js';

const percentile = (sorted: number[], rank: number) =>
  sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)] ?? null;

/** An amount over time, and its sum. Counted while work still arrives: the long tail after it only says how long the longest job is. */
class Integral {
  amount = 0;
  sum = 0;
  #sinceMs = 0;

  change(by: number, nowMs: number): void {
    this.until(nowMs);
    this.amount += by;
  }

  until(nowMs: number): void {
    this.sum += this.amount * Math.max(0, nowMs - this.#sinceMs);
    this.#sinceMs = Math.max(this.#sinceMs, nowMs);
  }
}

export class Tally {
  readonly #waitsMs = new Map<PriorityClass, number[]>();
  readonly #busy = new Integral();
  readonly #busyOf = new Map<string, Integral>();
  readonly #wishes = new Wishes();
  readonly #outcomes: Record<string, number> = {};
  #untilMs: number;
  #submitted = 0;
  #refused = 0;
  #admissions = 0;
  #backfills = 0;
  #borrowed = 0;
  #preemptions = 0;
  #reclaims = 0;
  #budgetStops = 0;
  #paidMicroUsd = 0;
  readonly #faults: Partial<Record<Fault['kind'], number>> = {};
  migrations = 0;
  fenced = 0;
  badProbes = 0;

  constructor(readonly scenario: Scenario<unknown>) {
    this.#untilMs = scenario.size.hours * 3_600_000;
    for (const { tenantId } of scenario.tenants) this.#busyOf.set(tenantId, new Integral());
  }

  /** In truth: one more, or one less. */
  runs({ tenantId, demand }: Workload<unknown>, sign: 1 | -1, nowMs: number): void {
    const atMs = Math.min(nowMs, this.#untilMs);
    const gpus = sign * (demand.gpus ?? 0);
    this.#busy.change(gpus, atMs);
    this.#busyOf.get(tenantId)?.change(gpus, atMs);
  }

  /** Before all that was to be counted has happened. */
  endsAt(nowMs: number): void {
    this.#untilMs = Math.min(this.#untilMs, nowMs);
  }

  strikes({ kind }: Fault): void {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
  }

  submitted({ workload, workMs, failsAfterMs }: SimulatedJob<unknown>, refused: boolean): void {
    const { tenantId, demand, submittedAtMs } = workload;
    this.#submitted += 1;
    if (refused) this.#refused += 1;
    else this.#wishes.add(tenantId, demand.gpus ?? 0, submittedAtMs, failsAfterMs ?? workMs);
  }

  decided(decision: QueueDecision<unknown>, { priorityClass, submittedAtMs }: Workload<unknown>, nowMs: number): void {
    if (decision.kind === 'stop') {
      if (decision.why === 'preempted') this.#preemptions += 1;
      else if (decision.why === 'reclaimed') this.#reclaims += 1;
      else this.#budgetStops += 1;
    }
    if (decision.kind !== 'admit') return;
    this.#admissions += 1;
    if (decision.backfills) this.#backfills += 1;
    if (decision.borrows) this.#borrowed += 1;
    // What is there at the beginning says nothing of how long one waits.
    if (decision.admission > 1 || submittedAtMs === 0) return;
    const waits = this.#waitsMs.get(priorityClass) ?? [];
    this.#waitsMs.set(priorityClass, waits);
    waits.push(nowMs - submittedAtMs);
  }

  ended(outcome: string, costMicroUsd: number): void {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
    this.#paidMicroUsd += costMicroUsd;
  }

  summary() {
    const { scenario } = this;
    const waits = Object.fromEntries(
      priorityClasses.map(each => {
        const sorted = (this.#waitsMs.get(each) ?? []).sort((one, other) => one - other);
        const seconds = (rank: number) => {
          const ms = percentile(sorted, rank);
          return ms === null ? null : Math.round(ms / 1000);
        };
        return [each, { jobs: sorted.length, p50: seconds(50), p90: seconds(90), p99: seconds(99) }];
      }),
    );
    const busyMs = (integral: Integral | undefined) => {
      integral?.until(this.#untilMs);
      return integral?.sum ?? 0;
    };
    const uses = scenario.tenants.map(terms => ({
      terms,
      got: busyMs(this.#busyOf.get(terms.tenantId)),
      asked: this.#wishes.until(terms.tenantId, this.#untilMs),
    }));
    return {
      seed: scenario.seed,
      gpus: scenario.gpus,
      machines: scenario.machines.length,
      tenants: scenario.tenants.length,
      hours: this.#untilMs / 3_600_000,
      jobs: { submitted: this.#submitted, refused: this.#refused, outcomes: this.#outcomes },
      utilisation: busyMs(this.#busy) / (scenario.gpus * this.#untilMs),
      waitSeconds: waits,
      ...fairness(uses, scenario.gpus, this.#untilMs),
      admissions: this.#admissions,
      backfills: this.#backfills,
      borrowed: this.#borrowed,
      preemptions: this.#preemptions,
      reclaims: this.#reclaims,
      budgetStops: this.#budgetStops,
      migrations: this.migrations,
      paidUsd: this.#paidMicroUsd / 1e6,
      faults: Object.values(this.#faults).reduce((sum, count) => sum + count, 0),
      faultsByKind: this.#faults,
      badProbes: this.badProbes,
      fencedWordsDropped: this.fenced,
    };
  }
}

export type Summary = ReturnType<Tally['summary']>;
