/**
 * Quotas, borrowing inside a cohort, and shares. A tenant of a cohort may use what the others leave of their quotas; what
 * it borrows can be called back, so only preemptible work borrows.
 */

/** Resource name to amount, in integers of its smallest unit: 'gpu-thousandths', 'cpu-thousandths', 'memory-bytes'. */
export type Demand = Readonly<Record<string, number>>;

export interface TenantTerms {
  tenantId: string;
  /** Its share counts divided by this. Above 0. */
  weight: number;
  /** What it is sure of. A resource that is not named is not limited; null: nothing is. */
  quota: Demand | null;
  /** Tenants of one cohort lend each other what they do not use. */
  cohort: string | null;
  /** The most that it may borrow above its quota; a resource that is not named: as much as there is. */
  borrowingLimit: Demand;
}

export type QuotaAnswer =
  | { fits: 'own' | 'loan' }
  /** `tenant`: its own work must end first; `lent`: others hold what is its own; `cohort`: nothing is left to borrow. */
  | { waits: 'tenant' | 'lent' | 'cohort'; resource: string; wanted: number; free: number };

interface Cohort {
  name: string;
  tenants: Set<Account>;
  quota: Map<string, number>;
  used: Map<string, number>;
}

interface Account {
  terms: TenantTerms;
  cohort: Cohort | null;
  used: Map<string, number>;
  share: number;
}

const addAll = (sums: Map<string, number>, demand: Demand, sign: 1 | -1) => {
  for (const name in demand) sums.set(name, (sums.get(name) ?? 0) + sign * (demand[name] ?? 0));
};

export class QuotaBook {
  readonly #accounts = new Map<string, Account>();
  readonly #cohorts = new Map<string, Cohort>();
  #capacity: Demand = {};

  /** What there is in all, of which shares are counted. */
  setCapacity(capacity: Demand): void {
    this.#capacity = capacity;
    for (const account of this.#accounts.values()) this.#reckonShare(account);
  }

  setTenant(terms: TenantTerms): void {
    if (!(terms.weight > 0))
      throw new RangeError(`tenant ${terms.tenantId}: its weight must be above 0, not ${terms.weight}`);
    const account = this.#accounts.get(terms.tenantId) ?? { terms, cohort: null, used: new Map(), share: 0 };
    const before = account.cohort;
    before?.tenants.delete(account);
    account.terms = terms;
    account.cohort = terms.cohort === null ? null : this.#cohort(terms.cohort);
    account.cohort?.tenants.add(account);
    this.#accounts.set(terms.tenantId, account);
    for (const cohort of new Set([before, account.cohort])) if (cohort) this.#reckonCohort(cohort);
    this.#reckonShare(account);
  }

  knows(tenantId: string): boolean {
    return this.#accounts.has(tenantId);
  }

  tenants(): string[] {
    return [...this.#accounts.keys()];
  }

  cohortOf(tenantId: string): string | null {
    return this.#account(tenantId).terms.cohort;
  }

  /** Itself, and those that it lends to and borrows from. */
  cohortMembers(tenantId: string): string[] {
    const { cohort } = this.#account(tenantId);
    return cohort ? [...cohort.tenants].map(({ terms }) => terms.tenantId) : [tenantId];
  }

  /** Dominant share over weight: the largest part that it holds of any resource. */
  shareOf(tenantId: string): number {
    return this.#account(tenantId).share;
  }

  usedBy(tenantId: string): Demand {
    return Object.fromEntries(this.#account(tenantId).used);
  }

  hold(tenantId: string, demand: Demand): void {
    this.#change(tenantId, demand, 1);
  }

  free(tenantId: string, demand: Demand): void {
    this.#change(tenantId, demand, -1);
  }

  /** Does it hold more than its quota of any resource? Then some of it is borrowed. */
  borrows(tenantId: string): boolean {
    const { terms, used } = this.#account(tenantId);
    const quota = terms.quota ?? {};
    for (const name in quota) if ((used.get(name) ?? 0) > (quota[name] ?? 0)) return true;
    return false;
  }

  check(tenantId: string, demand: Demand, preemptible: boolean): QuotaAnswer {
    const account = this.#account(tenantId);
    const own = this.#passes(account, demand, () => 0);
    const together = this.#cohortShort(account, demand);
    if (own === null) return together === null ? { fits: 'own' } : { waits: 'lent', ...together };
    if (!preemptible || account.cohort === null) return { waits: 'tenant', ...own };
    const limit = account.terms.borrowingLimit;
    const beyond = this.#passes(account, demand, name => limit[name] ?? Number.POSITIVE_INFINITY);
    if (beyond !== null) return { waits: 'tenant', ...beyond };
    return together === null ? { fits: 'loan' } : { waits: 'cohort', ...together };
  }

  /** Why it could not be admitted even if nothing else ran; null when it could. */
  never(tenantId: string, demand: Demand, preemptible: boolean): string | null {
    const { terms, cohort } = this.#account(tenantId);
    const quota = terms.quota ?? {};
    for (const name in quota) {
      const own = quota[name] ?? 0;
      const wanted = demand[name] ?? 0;
      if (wanted <= own) continue;
      if (!preemptible || cohort === null) {
        const advice = cohort === null ? '' : '; only preemptible work may borrow more';
        return `it asks for ${wanted} ${name}, the quota of its tenant is ${own}${advice}`;
      }
      const most = Math.min(
        own + (terms.borrowingLimit[name] ?? Number.POSITIVE_INFINITY),
        cohort.quota.get(name) ?? 0,
      );
      if (wanted > most)
        return `it asks for ${wanted} ${name}, its tenant may have ${most} with all that it may borrow`;
    }
    return null;
  }

  #passes(account: Account, demand: Demand, more: (name: string) => number) {
    const quota = account.terms.quota ?? {};
    for (const name in quota) {
      const wanted = demand[name] ?? 0;
      const free = (quota[name] ?? 0) + more(name) - (account.used.get(name) ?? 0);
      if (wanted > 0 && wanted > free) return { resource: name, wanted, free };
    }
    return null;
  }

  #cohortShort({ cohort, terms }: Account, demand: Demand) {
    if (cohort === null || terms.quota === null) return null;
    for (const name in terms.quota) {
      const wanted = demand[name] ?? 0;
      const free = (cohort.quota.get(name) ?? 0) - (cohort.used.get(name) ?? 0);
      if (wanted > 0 && wanted > free) return { resource: name, wanted, free };
    }
    return null;
  }

  #change(tenantId: string, demand: Demand, sign: 1 | -1): void {
    const account = this.#account(tenantId);
    addAll(account.used, demand, sign);
    if (account.cohort) this.#count(account.cohort, account, demand, sign);
    this.#reckonShare(account);
  }

  /** Of a resource that a tenant's quota does not name, nothing counts in its cohort either. */
  #count(cohort: Cohort, account: Account, demand: Demand, sign: 1 | -1): void {
    for (const name in account.terms.quota ?? {}) {
      cohort.used.set(name, (cohort.used.get(name) ?? 0) + sign * (demand[name] ?? 0));
    }
  }

  #cohort(name: string): Cohort {
    const cohort = this.#cohorts.get(name) ?? { name, tenants: new Set(), quota: new Map(), used: new Map() };
    this.#cohorts.set(name, cohort);
    return cohort;
  }

  #reckonCohort(cohort: Cohort): void {
    cohort.quota.clear();
    cohort.used.clear();
    for (const account of cohort.tenants) {
      addAll(cohort.quota, account.terms.quota ?? {}, 1);
      this.#count(cohort, account, Object.fromEntries(account.used), 1);
    }
  }

  #reckonShare(account: Account): void {
    let dominant = 0;
    for (const [name, used] of account.used) {
      const whole = this.#capacity[name] ?? 0;
      if (used > 0) dominant = Math.max(dominant, whole > 0 ? used / whole : 1);
    }
    account.share = dominant / account.terms.weight;
  }

  #account(tenantId: string): Account {
    const account = this.#accounts.get(tenantId);
    if (!account) throw new Error(`the queue does not know tenant ${tenantId}: set its terms first`);
    return account;
  }
}
