/** What a run has come to, in figures. */
import {
  type PoolPlacement,
  type PriorityClass,
  priorityClasses,
  type QueueDecision,
} from '@iocloud/control-plane/core/queueing';
import type { Scenario } from './scenario.js';
import type { Execution, Record as JobRecord } from './world.js';

const percentile = (sorted: number[], rank: number) =>
  sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)] ?? null;

/** 1 when all have the same, 1/n when one has everything. */
export function jainsIndex(amounts: number[]): number {
  const sum = amounts.reduce((total, amount) => total + amount, 0);
  const squares = amounts.reduce((total, amount) => total + amount ** 2, 0);
  return squares === 0 ? 1 : sum ** 2 / (amounts.length * squares);
}

export class Tally {
  readonly #waitsMs = new Map<PriorityClass, number[]>();
  readonly #gpuMs = new Map<string, number>();
  readonly #outcomes: Record<string, number> = {};
  #submitted = 0;
  #refused = 0;
  #admissions = 0;
  #backfills = 0;
  #borrowed = 0;
  #preemptions = 0;
  #reclaims = 0;
  #budgetStops = 0;
  #migrations = 0;
  #paidMicroUsd = 0;
  #busyGpuMs = 0;
  #elapsedMs = 0;
  faults = 0;
  fenced = 0;
  badProbes = 0;

  constructor(
    readonly scenario: Scenario,
    readonly gpus: number,
  ) {}

  /** Counted while work still arrives: the long tail after it would only say how long the longest job is. */
  pass(ms: number, executions: Iterable<Execution>): void {
    const untilMs = this.scenario.size.hours * 3_600_000;
    const counted = Math.max(0, Math.min(ms, untilMs - this.#elapsedMs));
    this.#elapsedMs += ms;
    if (counted === 0) return;
    for (const { alive, record } of executions) {
      if (!alive) continue;
      const { tenantId, demand } = record.job.workload;
      const gpuMs = (demand.gpus ?? 0) * counted;
      this.#busyGpuMs += gpuMs;
      this.#gpuMs.set(tenantId, (this.#gpuMs.get(tenantId) ?? 0) + gpuMs);
    }
  }

  submitted(refused: boolean): void {
    this.#submitted += 1;
    if (refused) this.#refused += 1;
  }

  decided(decision: QueueDecision<PoolPlacement>, { job }: JobRecord, nowMs: number): void {
    if (decision.kind === 'stop') {
      if (decision.why === 'preempted') this.#preemptions += 1;
      else if (decision.why === 'reclaimed') this.#reclaims += 1;
      else this.#budgetStops += 1;
    }
    if (decision.kind !== 'admit') return;
    this.#admissions += 1;
    if (decision.backfills) this.#backfills += 1;
    if (decision.borrows) this.#borrowed += 1;
    if (decision.admission > 1) return;
    const { priorityClass, submittedAtMs } = job.workload;
    const waits = this.#waitsMs.get(priorityClass) ?? [];
    this.#waitsMs.set(priorityClass, waits);
    waits.push(nowMs - submittedAtMs);
  }

  migrated(_record: JobRecord): void {
    this.#migrations += 1;
  }

  ended({ outcome }: JobRecord, spentMicroUsd: number): void {
    this.#outcomes[outcome ?? 'none'] = (this.#outcomes[outcome ?? 'none'] ?? 0) + 1;
    this.#paidMicroUsd += spentMicroUsd;
  }

  summary() {
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
    const weighted = this.scenario.tenants.map(({ tenantId, weight }) => (this.#gpuMs.get(tenantId) ?? 0) / weight);
    const { hours } = this.scenario.size;
    return {
      seed: this.scenario.seed,
      gpus: this.gpus,
      machines: this.scenario.machines.length,
      tenants: this.scenario.tenants.length,
      hours,
      jobs: { submitted: this.#submitted, refused: this.#refused, outcomes: this.#outcomes },
      utilisation: this.#busyGpuMs / (this.gpus * hours * 3_600_000),
      waitSeconds: waits,
      jainsIndexOfWeightedGpuTime: jainsIndex(weighted),
      admissions: this.#admissions,
      backfills: this.#backfills,
      borrowed: this.#borrowed,
      preemptions: this.#preemptions,
      reclaims: this.#reclaims,
      budgetStops: this.#budgetStops,
      migrations: this.#migrations,
      paidUsd: this.#paidMicroUsd / 1e6,
      faults: this.faults,
      badProbes: this.badProbes,
      fencedWordsDropped: this.fenced,
    };
  }
}
