/** What no quota would ever allow is refused while its sender still listens. */
import type { TenantId } from '@iocloud/contracts';
import { demandOf, QuotaBook, reservation, type TenantTerms, unstatedCapacity } from '../core/queueing/index.js';
import type { Queryable } from '../platform/index.js';
import type { Submission } from './submission.js';

/** Terms seldom change, and the scheduler goes by the newest whatever is let in here. */
const termsLastMs = 5_000;

export class QuotaGate {
  #terms: { readAtMs: number; all: TenantTerms[] } | null = null;

  constructor(readonly wiring: { queueTermsOf(db: Queryable): Promise<TenantTerms[]>; now(): number }) {}

  /** Why the job could never be admitted; null: it could. */
  async refusal(db: Queryable, tenantId: TenantId, { needs, scheduling }: Submission): Promise<string | null> {
    const all = await this.#read(db);
    if (!all.some(terms => terms.tenantId === tenantId)) return null;
    const book = new QuotaBook();
    for (const terms of all) book.setTenant(terms);
    return book.never(tenantId, demandOf(reservation(needs, unstatedCapacity)), scheduling.preemptible);
  }

  async #read(db: Queryable): Promise<TenantTerms[]> {
    const nowMs = this.wiring.now();
    if (this.#terms === null || nowMs - this.#terms.readAtMs > termsLastMs) {
      this.#terms = { readAtMs: nowMs, all: await this.wiring.queueTermsOf(db) };
    }
    return this.#terms.all;
  }
}
