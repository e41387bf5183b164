/** How evenly a fleet was shared out: over what tenants got, what they asked for, and how far they got what was theirs. */
import type { TenantTerms } from '@iocloud/control-plane/core/queueing';

/** 1 when all have the same, 1/n when one has everything. */
export function jainsIndex(amounts: number[]): number {
  const sum = amounts.reduce((total, amount) => total + amount, 0);
  const squares = amounts.reduce((total, amount) => total + amount ** 2, 0);
  return squares === 0 ? 1 : sum ** 2 / (amounts.length * squares);
}

/** What tenants asked for, in accelerators times milliseconds. */
export class Wishes {
  /** Of each tenant, three numbers for each job: accelerators, when it was submitted, and how long it works. */
  readonly #jobs = new Map<string, number[]>();

  add(tenantId: string, gpus: number, submittedAtMs: number, workMs: number): void {
    const jobs = this.#jobs.get(tenantId) ?? [];
    this.#jobs.set(tenantId, jobs);
    jobs.push(gpus, submittedAtMs, workMs);
  }

  /** If each had begun at once and nothing had failed. */
  until(tenantId: string, untilMs: number): number {
    const jobs = this.#jobs.get(tenantId) ?? [];
    let sum = 0;
    for (let at = 0; at < jobs.length; at += 3) {
      const [gpus, submittedAtMs, workMs] = jobs.slice(at, at + 3) as [number, number, number];
      sum += gpus * Math.max(0, Math.min(workMs, untilMs - submittedAtMs));
    }
    return sum;
  }
}

interface Use {
  terms: TenantTerms;
  /** Accelerators times milliseconds. */
  got: number;
  asked: number;
}

/**
 * Over the weight: what tenants got, and what they asked for. `ofDue`: what they got of what they were due, at most all of
 * it, among those who were due anything. A tenant is due what it asked for, but no more than its weight's part of all
 * accelerators' time and than its quota.
 */
export function fairness(uses: Use[], gpus: number, ms: number) {
  const weights = uses.reduce((sum, { terms }) => sum + terms.weight, 0);
  const over = (amount: (use: Use) => number) => jainsIndex(uses.map(use => amount(use) / use.terms.weight));
  const parts = uses.flatMap(({ terms, got, asked }) => {
    const due = Math.min(asked, (gpus * ms * terms.weight) / weights, (terms.quota?.gpus ?? gpus) * ms);
    return due > 0 ? [Math.min(1, got / due)] : [];
  });
  return {
    jainsIndexOfWeightedGpuTime: over(({ got }) => got),
    jainsIndexOfWeightedDemand: over(({ asked }) => asked),
    jainsIndexOfDue: jainsIndex(parts),
    leastOfDue: parts.reduce((least, part) => Math.min(least, part), 1),
    meanOfDue: parts.reduce((sum, part) => sum + part, 0) / Math.max(1, parts.length),
  };
}
