/** All that the queue knows, and the few ways in which it changes together. */
import { Backlog } from './backlog.js';
import { type Entry, ranksBefore } from './entry.js';
import { type Ground, type GroundRefusal, isRefusal } from './ground.js';
import type { Hopes } from './hopes.js';
import { handicapMs } from './order.js';
import { type QuotaAnswer, QuotaBook } from './quota.js';
import { type Reservation, Reservations } from './reservations.js';
import type { QueueTerms } from './terms.js';

type Priced = { microUsdPerHour: number };

/** Those of a cohort before whom nobody borrows. */
export interface LoanLine<E> {
  /** They wait for what their tenants have lent: all loans wait for them. */
  owed: Set<E>;
  /** It has waited to borrow for longer than others must be patient: later loans wait for it. */
  patient: E | null;
}

export class Books<Request, Placement extends Priced> {
  readonly entries = new Map<string, Entry<Request, Placement>>();
  readonly running = new Set<Entry<Request, Placement>>();
  readonly #runningOf = new Map<string, Set<Entry<Request, Placement>>>();
  readonly backlog = new Backlog<Request, Placement>();
  readonly quotas = new QuotaBook();
  readonly reservations: Reservations<Request, Placement>;
  /** Per tenant, who waits for its quota to be freed by its own work: later work of the tenant waits for it. */
  readonly quotaHolders = new Map<string, Entry<Request, Placement>>();
  readonly #stoppingFor = new Map<string, Set<Entry<Request, Placement>>>();
  readonly #loansToLookAt = new Set<string>();
  readonly #loanLines = new Map<string, LoanLine<Entry<Request, Placement>>>();
  /** Per shape. Until the ground changes they stay true. */
  readonly hopes = new Map<string, Hopes>();
  /** Refusals of the ground since room last became free: until then they stay true. */
  readonly #refusals = new Map<string, GroundRefusal>();

  constructor(
    readonly ground: Ground<Request, Placement>,
    readonly terms: QueueTerms,
  ) {
    this.reservations = new Reservations(ground, this.quotas);
  }

  loanLine(cohort: string): LoanLine<Entry<Request, Placement>> {
    const line = this.#loanLines.get(cohort) ?? { owed: new Set(), patient: null };
    this.#loanLines.set(cohort, line);
    return line;
  }

  runningOf(tenantId: string): Set<Entry<Request, Placement>> {
    const running = this.#runningOf.get(tenantId) ?? new Set();
    this.#runningOf.set(tenantId, running);
    return running;
  }

  /** What has been told to stop for it and still holds something. */
  stoppingFor(id: string): Entry<Request, Placement>[] {
    return [...(this.#stoppingFor.get(id) ?? [])];
  }

  /** Asks the ground while these reservations are lifted, unless it is known to refuse. */
  place({ workload }: Entry<Request, Placement>, lifted: Reservation<Request, Placement>[]): Placement | GroundRefusal {
    const key = `${lifted.map(({ entry }) => entry.id).join()}\n${workload.shape}`;
    const known = this.#refusals.get(key);
    if (known) return known;
    const answer = this.ground.place(workload.request, null);
    if (isRefusal(answer)) this.#refusals.set(key, answer);
    return answer;
  }

  stopsFor(entry: Entry<Request, Placement>, forId: string | null): void {
    if (forId === null) return;
    const stopping = this.#stoppingFor.get(forId) ?? new Set();
    this.#stoppingFor.set(forId, stopping.add(entry));
  }

  take(entry: Entry<Request, Placement>, placement: Placement): void {
    this.ground.take(entry.id, placement);
    this.running.add(entry);
    this.runningOf(entry.workload.tenantId).add(entry);
    this.quotas.hold(entry.workload.tenantId, entry.workload.demand);
    this.shareChanged(entry.workload.tenantId);
  }

  /** What it held is free, for the reservations first; whoever waits for such looks again. */
  release(entry: Entry<Request, Placement>): void {
    this.ground.release(entry.id);
    const stopping = this.#stoppingFor.get(entry.stop?.forId ?? '');
    if (stopping?.delete(entry) && stopping.size === 0) this.#stoppingFor.delete(entry.stop?.forId ?? '');
    this.running.delete(entry);
    this.runningOf(entry.workload.tenantId).delete(entry);
    this.quotas.free(entry.workload.tenantId, entry.workload.demand);
    this.shareChanged(entry.workload.tenantId);
    this.roomFreed();
    this.quotaFreed(entry.workload.tenantId);
  }

  makeReservation(reservation: Reservation<Request, Placement>): void {
    this.reservations.make(reservation);
    this.backlog.setLeads(reservation.entry, reservation.wasCleared);
  }

  dropReservation(id: string): void {
    const reservation = this.reservations.of(id);
    if (!reservation) return;
    this.reservations.drop(id);
    this.backlog.setLeads(reservation.entry, false);
    this.roomFreed();
    if (reservation.holdsQuota) this.quotaFreed(reservation.entry.workload.tenantId);
  }

  roomFreed(): void {
    this.#refusals.clear();
    this.reservations.refresh();
    this.backlog.wakeAll('ground');
  }

  quotaFreed(tenantId: string): void {
    this.wakeTenant(tenantId);
    const cohort = this.quotas.cohortOf(tenantId);
    if (cohort === null) return;
    // What waits behind those who borrow may now fit into its tenant's own quota, and is no borrower any more.
    this.backlog.wakeAll(`behind in ${cohort}`, tenantId);
    this.cohortFreed(cohort);
  }

  cohortFreed(cohort: string): void {
    this.backlog.wakeAll(`lent in ${cohort}`);
    this.#loansToLookAt.add(cohort);
  }

  /** Once for all that was freed since: there may be many who wait for a loan, and most of them still have to. */
  wakeBorrowers(): void {
    for (const cohort of this.#loansToLookAt) {
      const key = `loan in ${cohort}`;
      const holds = this.reservations
        .all()
        .filter(({ entry, holdsQuota }) => holdsQuota && this.quotas.cohortOf(entry.workload.tenantId) === cohort);
      const mayBorrow = this.#borrowers(cohort);
      if (holds.length === 0) this.backlog.wakeNext(key, 'loan', mayBorrow);
      // Quota that is held for a place is lifted for whoever stands before it: whether that is so is for judging.
      else this.reservations.without(holds, () => this.backlog.wakeFirsts(key, mayBorrow));
      // And whom it is held for stands behind nobody.
      for (const { entry } of holds) if (entry.lane?.parkedIn) this.backlog.wake(entry.lane);
    }
    this.#loansToLookAt.clear();
  }

  /** Quotas answer alike for all of one tenant that ask for the same: they are asked once in a look. */
  #borrowers(cohort: string): (entry: Entry<Request, Placement>) => boolean {
    const answers = new Map<string, QuotaAnswer>();
    const { owed, patient } = this.loanLine(cohort);
    return entry => {
      const { tenantId, demand, preemptible } = entry.workload;
      const key = entry.lane?.quotaKey ?? '';
      const answer = answers.get(key) ?? this.quotas.check(tenantId, demand, preemptible);
      answers.set(key, answer);
      if ('waits' in answer) return answer.waits !== 'cohort';
      if (answer.fits === 'own') return true;
      const isBehind =
        owed.size > (owed.has(entry) ? 1 : 0) || (patient && patient !== entry && ranksBefore(patient, entry));
      return !isBehind;
    };
  }

  /** Those before whom nobody borrows are others now, or none. */
  loanLineMoved(cohort: string): void {
    this.backlog.wakeAll(`behind in ${cohort}`);
    this.#loansToLookAt.add(cohort);
  }

  lookAtLoans(cohort: string): void {
    this.#loansToLookAt.add(cohort);
  }

  wakeTenant(tenantId: string): void {
    this.backlog.wakeAll(`tenant ${tenantId}`);
    this.wakeNextBehind(tenantId);
  }

  /** While one of its tenant's waits for quota, the later ones have to; then they are looked at one after the other. */
  wakeNextBehind(tenantId: string): void {
    if (!this.quotaHolders.has(tenantId)) this.backlog.wakeNext(`behind ${tenantId}`, 'turn', () => true);
  }

  shareChanged(tenantId: string): void {
    const { backlog, quotas, reservations } = this;
    const beforeMs = backlog.handicapMs(tenantId);
    const afterMs = handicapMs(quotas.shareOf(tenantId), this.terms.order);
    backlog.setHandicap(tenantId, afterMs);
    if (afterMs === beforeMs) return;
    // Others may now stand before what this tenant has places kept for, or its work before what others have.
    const isOwn = afterMs > beforeMs;
    const passed = reservations.all().filter(({ entry }) => (entry.workload.tenantId === tenantId) === isOwn);
    if (passed.length === 0) return;
    backlog.wakeAll('ground', isOwn ? null : tenantId);
    const cohort = quotas.cohortOf(tenantId);
    if (cohort === null) return;
    const holds = passed.some(
      ({ entry, holdsQuota }) => holdsQuota && quotas.cohortOf(entry.workload.tenantId) === cohort,
    );
    if (holds) this.cohortFreed(cohort);
  }

  /** It no longer waits for quota: nobody waits behind it. */
  stepAside(entry: Entry<Request, Placement>): void {
    const { tenantId } = entry.workload;
    if (this.quotaHolders.get(tenantId) === entry) {
      this.quotaHolders.delete(tenantId);
      this.wakeTenant(tenantId);
    }
    const cohort = this.quotas.cohortOf(tenantId);
    if (cohort === null || this.loanLine(cohort).patient !== entry) return;
    this.loanLine(cohort).patient = null;
    this.loanLineMoved(cohort);
  }

  /** Its tenant has what it had lent, or has no use for it now: others may borrow again. */
  settle(entry: Entry<Request, Placement>): void {
    const cohort = this.quotas.cohortOf(entry.workload.tenantId);
    if (cohort !== null && this.loanLine(cohort).owed.delete(entry)) this.loanLineMoved(cohort);
  }

  /** Does `one` stand before `other` over all tenants just now? */
  before(one: Entry<Request, Placement>, other: Entry<Request, Placement>): boolean {
    const oneMs = one.rankMs + this.backlog.handicapMs(one.workload.tenantId);
    const otherMs = other.rankMs + this.backlog.handicapMs(other.workload.tenantId);
    return oneMs === otherMs ? ranksBefore(one, other) : oneMs < otherMs;
  }
}
