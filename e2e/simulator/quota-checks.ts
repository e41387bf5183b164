/** What tenants use against what they may, counted apart from the queue's own books. */
import type { TenantTerms } from '@iocloud/control-plane/core/queueing';

interface Use {
  terms: TenantTerms;
  used: number;
  /** By what is not preemptible. */
  firmly: number;
}

export class QuotaChecks {
  readonly #uses = new Map<string, Use>();
  readonly #cohorts = new Map<string, { quota: number; used: number }>();
  readonly #changed = new Set<Use>();

  constructor(tenants: readonly TenantTerms[]) {
    for (const terms of tenants) {
      this.#uses.set(terms.tenantId, { terms, used: 0, firmly: 0 });
      const { cohort, quota } = terms;
      if (cohort === null) continue;
      const sum = this.#cohorts.get(cohort) ?? { quota: 0, used: 0 };
      this.#cohorts.set(cohort, { ...sum, quota: sum.quota + (quota?.gpus ?? 0) });
    }
  }

  isLimited(tenantId: string): boolean {
    return (this.#uses.get(tenantId)?.terms.quota ?? null) !== null;
  }

  count(tenantId: string, preemptible: boolean, gpus: number): void {
    const use = this.#uses.get(tenantId);
    if (!use) return;
    use.used += gpus;
    if (!preemptible) use.firmly += gpus;
    const cohort = this.#cohorts.get(use.terms.cohort ?? '');
    if (cohort) cohort.used += gpus;
    this.#changed.add(use);
  }

  /** Of those whose use has changed since it was asked last: the invariant that is broken, and by what. */
  broken(): [string, string] | null {
    for (const { terms, used, firmly } of this.#changed) {
      const { tenantId, quota, cohort, borrowingLimit } = terms;
      if (quota === null) continue;
      const own = quota.gpus ?? 0;
      const loan = cohort === null ? 0 : (borrowingLimit.gpus ?? Number.POSITIVE_INFINITY);
      if (used > own + loan) return ['quotas hold', `${tenantId} has ${used}, may have ${own} and borrow ${loan}`];
      if (firmly > own) return ['only preemptible work borrows', tenantId];
      const sum = this.#cohorts.get(cohort ?? '');
      if (sum && sum.used > sum.quota)
        return ['a cohort lends only what it has', `${cohort} uses ${sum.used} of ${sum.quota}`];
    }
    this.#changed.clear();
    return null;
  }
}
