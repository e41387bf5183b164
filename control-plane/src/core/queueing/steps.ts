/** One step of the queue: what is due by time, then the lanes in their order until nothing more can go. */
import type { Lane } from './backlog.js';
import type { Books } from './books.js';
import { type Entry, ranksBefore, type Stop } from './entry.js';
import { isHopeless } from './hopes.js';
import { ceilingOf, forcedAt, judge, type Verdict, yieldingTo } from './judgement.js';
import { chooseVictims, placeAfter, planPlace } from './making-room.js';
import { overtakingLimitMs } from './order.js';
import { OrderedHeap } from './ordered-heap.js';
import type { QueueDecision, Step, StepLimits } from './queue.js';
import { affordableMs } from './spending.js';
import { type Wait, wokenBy } from './waiting.js';
import { nextState } from './workload.js';

type Priced = { microUsdPerHour: number };

/** `look`: it is judged again; `stop`: its budget ends; `force`: its grace is over. */
interface Timer {
  atMs: number;
  number: number;
  id: string;
  what: 'look' | 'stop' | 'force';
}

export class Steps<Request, Placement extends Priced> {
  readonly #timers = new OrderedHeap<Timer>((one, other) =>
    one.atMs === other.atMs ? one.number < other.number : one.atMs < other.atMs,
  );
  #timersSet = 0;
  #decisions: QueueDecision<Placement>[] = [];
  /** In this run: of what was told to stop twice, two times may have come. */
  readonly #forced = new Set<string>();
  #nowMs = Number.NEGATIVE_INFINITY;

  constructor(readonly books: Books<Request, Placement>) {}

  overtakingLimitMs({ workload }: Entry<Request, Placement>): number {
    return overtakingLimitMs(workload.priorityClass, this.books.terms.order);
  }

  nextTimeMs(): number | null {
    return this.#timers.first()?.atMs ?? null;
  }

  timeStop(entry: Entry<Request, Placement>): void {
    const stopAtMs = entry.held?.stopAtMs ?? null;
    if (stopAtMs !== null) this.#time(stopAtMs, entry.id, 'stop');
  }

  run(
    nowMs: number,
    { maxAdmissions = Number.POSITIVE_INFINITY, maxTries = Number.POSITIVE_INFINITY }: StepLimits,
  ): Step<Placement> {
    if (nowMs < this.#nowMs) throw new RangeError(`time went back from ${this.#nowMs} to ${nowMs}`);
    this.#nowMs = nowMs;
    this.#decisions = [];
    this.#forced.clear();
    for (let due = this.#timers.first(); due && due.atMs <= nowMs; due = this.#timers.first()) {
      this.#timers.remove(due);
      this.#onTime(due);
    }
    let admissions = 0;
    let tries = 0;
    let lane = this.#next();
    while (lane && tries < maxTries && admissions < maxAdmissions) {
      if (this.#try(lane)) admissions += 1;
      tries += 1;
      lane = this.#next();
    }
    return { decisions: this.#decisions, settled: lane === undefined };
  }

  #next(): Lane<Request, Placement> | undefined {
    this.books.wakeBorrowers();
    return this.books.backlog.next();
  }

  #onTime({ id, what }: Timer): void {
    const entry = this.books.entries.get(id);
    if (!entry) return;
    if (what === 'look') {
      entry.lookAtMs = null;
      if (entry.state !== 'queued') return;
      if (entry.aside) {
        entry.aside = null;
        this.books.backlog.add(entry);
      } else if (entry.lane) this.books.backlog.wake(entry.lane);
    } else if (what === 'stop') {
      const due = entry.state === 'running' && (entry.held?.stopAtMs ?? Number.POSITIVE_INFINITY) <= this.#nowMs;
      if (due) this.#signal(entry, 'budget', null);
    } else if (entry.state === 'stopping' && (entry.stop?.graceUntilMs ?? 0) <= this.#nowMs && !this.#forced.has(id)) {
      this.#forced.add(id);
      this.#decisions.push({ kind: 'force', id });
    }
  }

  /** True when the first of the lane was admitted. */
  #try(lane: Lane<Request, Placement>): boolean {
    const entry = lane.items.first();
    if (!entry) throw new Error('an empty lane stands in the order');
    const verdict = judge(this.books, entry, this.#nowMs);
    const cohort = this.books.quotas.cohortOf(entry.workload.tenantId);
    const waitsForLoan = 'wait' in verdict && verdict.wait.code === 'loan';
    if (cohort !== null && (lane.wokenFor === 'loan' || (lane.wokenFor === 'kind' && !waitsForLoan))) {
      this.books.lookAtLoans(cohort);
    }
    const { wokenFor } = lane;
    lane.wokenFor = null;
    if ('wait' in verdict) this.#wait(entry, lane, verdict.wait);
    else this.#admit(entry, verdict);
    if (wokenFor === 'turn') this.books.wakeNextBehind(entry.workload.tenantId);
    return !('wait' in verdict);
  }

  #admit(
    entry: Entry<Request, Placement>,
    { admit: placement, borrows, backfills }: Exclude<Verdict<Placement>, { wait: Wait }>,
  ) {
    const { books } = this;
    const nowMs = this.#nowMs;
    const { budgetMicroUsd, expectedDurationMs } = entry.workload;
    books.backlog.remove(entry);
    const yielding = yieldingTo(books, entry);
    books.reservations.without(backfills ? books.reservations.all() : yielding, () => books.take(entry, placement));
    for (const each of yielding) {
      // Its own place, which it may have gone beside; and one that it went to before whoever it was kept for.
      if (each.entry === entry || books.ground.touch(each.placement, placement)) books.dropReservation(each.entry.id);
    }
    const leftMicroUsd = budgetMicroUsd === null ? Number.POSITIVE_INFINITY : budgetMicroUsd - entry.spentMicroUsd;
    const forMs =
      budgetMicroUsd === null ? Number.POSITIVE_INFINITY : affordableMs(leftMicroUsd, placement.microUsdPerHour);
    entry.state = nextState(entry.id, entry.state, 'admit');
    entry.admissions += 1;
    entry.loanSinceMs = null;
    entry.held = {
      placement,
      sinceMs: nowMs,
      checkpointedAtMs: nowMs,
      expectedEndMs: expectedDurationMs === null ? null : nowMs + expectedDurationMs,
      stopAtMs: Number.isFinite(forMs) ? nowMs + forMs - books.terms.graceMs : null,
    };
    this.timeStop(entry);
    books.stepAside(entry);
    books.settle(entry);
    this.#decisions.push({
      kind: 'admit',
      id: entry.id,
      admission: entry.admissions,
      placement,
      borrows,
      backfills,
      stopAtMs: entry.held.stopAtMs,
      endAtMs: entry.held.stopAtMs === null ? null : entry.held.stopAtMs + books.terms.graceMs,
    });
  }

  #wait(entry: Entry<Request, Placement>, lane: Lane<Request, Placement>, wait: Wait): void {
    const { books } = this;
    const { tenantId } = entry.workload;
    const by = wokenBy[wait.code];
    if (by === 'aside') {
      if (wait.code === 'backoff' || entry.awaiting === 0 || !books.reservations.of(entry.id)?.wasCleared)
        this.#setAside(entry, wait);
      else {
        // Only dearer places are free until those have gone who were told to: set aside, it would lose theirs to others.
        books.stepAside(entry);
        books.backlog.park(lane, 'ground');
      }
      return;
    }
    if (wait.code === 'tenant-quota') this.#holdQuota(entry);
    else if (wait.code === 'loan') this.#waitToBorrow(entry);
    else if (wait.code === 'lent' && this.#callIn(entry)) return;
    else if (wait.code === 'no-room') books.stepAside(entry);
    // Only what takes its own as soon as it is given back has others wait for that.
    if (wait.code !== 'lent' && wait.code !== 'no-room') books.settle(entry);
    // A place that it may not go to is of no use to it, and perhaps to those whom it waits for.
    if (wait.code !== 'no-room' && entry.awaiting === 0) books.dropReservation(entry.id);
    if (wait.code === 'behind-quota' || wait.code === 'behind-loan') this.#letKeptLead(lane);
    else {
      if (!this.#preempt(entry, wait) && wait.code === 'no-room') this.#reserve(entry);
    }
    const where = by === 'tenant' || by === 'behind' ? tenantId : books.quotas.cohortOf(tenantId);
    const key = by === 'ground' ? by : `${by} ${where}`;
    // Where it has lost a place that put it first, the lane's first has yet to be looked at.
    if (lane.items.first() === entry) books.backlog.park(lane, key);
  }

  /** It waits for quota behind others; one of its lane that has its own kept since before them need not. */
  #letKeptLead(lane: Lane<Request, Placement>): void {
    const { reservations, backlog } = this.books;
    const kept = reservations.all().find(({ entry, holdsQuota }) => holdsQuota && entry.lane === lane);
    if (kept) backlog.setLeads(kept.entry, true);
  }

  #setAside(entry: Entry<Request, Placement>, wait: Wait): void {
    const { backlog, terms } = this.books;
    backlog.remove(entry);
    this.books.dropReservation(entry.id);
    this.books.stepAside(entry);
    this.books.settle(entry);
    entry.aside = wait;
    const lookMs = wait.code === 'backoff' ? wait.untilMs : this.#nowMs + terms.priceLookMs;
    const forcedMs = wait.code === 'price' ? (forcedAt(entry.workload) ?? lookMs) : lookMs;
    this.#look(Math.max(this.#nowMs + 1, Math.min(lookMs, forcedMs)), entry);
  }

  /** Later work of its tenant waits until its own work has made room for this. */
  #holdQuota(entry: Entry<Request, Placement>): void {
    if (this.#hopeless(entry)) return;
    const { tenantId } = entry.workload;
    this.books.quotaHolders.set(tenantId, entry);
    const cohort = this.books.quotas.cohortOf(tenantId);
    if (cohort === null) return;
    // Later work of its tenant now waits behind it: if loans waited for that, this could wait for itself.
    for (const other of [...this.books.loanLine(cohort).owed]) {
      if (other.workload.tenantId === tenantId && ranksBefore(entry, other)) this.books.settle(other);
    }
  }

  #waitToBorrow(entry: Entry<Request, Placement>): void {
    const { terms, quotas } = this.books;
    entry.loanSinceMs ??= this.#nowMs;
    const patientAtMs = entry.loanSinceMs + terms.loanPatienceMs;
    if (this.#hopeless(entry)) return;
    if (this.#nowMs < patientAtMs) {
      // It may have waited for its tenant's own quota before: others of the tenant need no longer.
      this.books.stepAside(entry);
      this.#look(patientAtMs, entry);
      return;
    }
    const cohort = quotas.cohortOf(entry.workload.tenantId);
    if (cohort !== null) {
      const line = this.books.loanLine(cohort);
      if (line.patient === null || ranksBefore(entry, line.patient)) line.patient = entry;
    }
    this.#holdQuota(entry);
  }

  /**
   * What its tenant lent is its own: no more is lent before it has gone, and places kept for borrowers are given up. True
   * when one was: it is looked at again at once, for nothing else would wake it.
   */
  #callIn(entry: Entry<Request, Placement>): boolean {
    const { quotas, reservations } = this.books;
    const cohort = quotas.cohortOf(entry.workload.tenantId);
    if (cohort === null) return false;
    if (this.#hopeless(entry)) {
      this.books.settle(entry);
      return false;
    }
    this.books.loanLine(cohort).owed.add(entry);
    this.#holdQuota(entry);
    let isFreed = false;
    for (const { entry: other, holdsQuota, wasCleared } of reservations.all()) {
      const { tenantId } = other.workload;
      // What others were stopped for is not taken from it: it would have them stopped again.
      if (!holdsQuota || wasCleared || other === entry || tenantId === entry.workload.tenantId) continue;
      if (quotas.cohortOf(tenantId) !== cohort || !quotas.borrows(tenantId)) continue;
      this.books.dropReservation(other.id);
      isFreed = true;
    }
    return isFreed;
  }

  /** Tells others to stop so that it can go. True when it need not look for a place otherwise. */
  #preempt(entry: Entry<Request, Placement>, wait: Wait): boolean {
    const { books } = this;
    if (entry.awaiting > 0) {
      this.#keepWhatIsFreed(entry);
      return true;
    }
    if (wait.code === 'lent' && this.#hopeless(entry)) return false;
    if (entry.preemptAfterMs > this.#nowMs) {
      this.#look(entry.preemptAfterMs, entry);
      return false;
    }
    const chosen = chooseVictims(books, entry, wait, this.#nowMs);
    if (!chosen) {
      // Searched for again only when something has changed, and not at once.
      entry.preemptAfterMs = this.#nowMs + books.terms.retryMs;
      // Room alone wakes nobody who waits for quota.
      if (wait.code === 'lent') this.#look(this.#nowMs + books.terms.priceLookMs, entry);
      return false;
    }
    books.dropReservation(entry.id);
    entry.awaiting = chosen.victims.length;
    for (const victim of chosen.victims)
      this.#signal(victim, wait.code === 'lent' ? 'reclaimed' : 'preempted', entry.id);
    if (chosen.placement !== null) {
      this.#makeReservation(entry, chosen.placement, this.#nowMs + books.terms.graceMs, true);
    }
    return true;
  }

  /** Others were stopped for it, and the place that they leave is not kept for it: the queue was built anew since. */
  #keepWhatIsFreed(entry: Entry<Request, Placement>): void {
    const { books } = this;
    if (books.reservations.of(entry.id)) return;
    const victims = books.stoppingFor(entry.id);
    const place = placeAfter(books, entry, victims, this.#nowMs);
    if (!place) return;
    const startMs = Math.max(this.#nowMs, ...victims.map(({ stop }) => stop?.graceUntilMs ?? this.#nowMs));
    this.#makeReservation(entry, place.placement, startMs, true);
  }

  #signal(victim: Entry<Request, Placement>, why: Stop['why'], forId: string | null): void {
    const { graceMs } = this.books.terms;
    victim.state = nextState(victim.id, victim.state, 'signal');
    victim.stop = { why, forId, graceUntilMs: this.#nowMs + graceMs };
    this.books.stopsFor(victim, forId);
    this.#time(victim.stop.graceUntilMs, victim.id, 'force');
    this.#decisions.push({ kind: 'stop', id: victim.id, ...victim.stop });
  }

  /** Keeps a place for it, if it is among the first that wait for room. */
  #reserve(entry: Entry<Request, Placement>): void {
    const { books } = this;
    const { terms, reservations } = books;
    const own = reservations.of(entry.id);
    if (own) {
      const retryMs = own.madeAtMs + terms.retryMs;
      if (own.startMs > this.#nowMs) {
        if (Number.isFinite(own.startMs)) this.#look(own.startMs, entry);
        return;
      }
      if (retryMs > this.#nowMs) {
        this.#look(retryMs, entry);
        return;
      }
      books.dropReservation(entry.id);
    }
    if (this.#hopeless(entry)) {
      books.settle(entry);
      return;
    }
    const later = reservations.all().filter(each => !each.wasCleared && books.before(entry, each.entry));
    if (reservations.all().length - later.length >= terms.maxReservations) return;
    const plan = planPlace(books, entry, this.#nowMs);
    if (!plan) return;
    // A place made before its own, for later work, could take what it needs: they plan anew after it.
    for (const each of later) books.dropReservation(each.entry.id);
    this.#makeReservation(entry, plan.placement, plan.startMs, false);
    if (Number.isFinite(plan.startMs)) this.#look(Math.max(plan.startMs, this.#nowMs + 1), entry);
  }

  /** Could the ground, as it is and at a price that it may go for, not carry it even if nothing ran? */
  #hopeless(entry: Entry<Request, Placement>): boolean {
    return isHopeless(this.books, entry, ceilingOf(this.books, entry, this.#nowMs)?.maxMicroUsdPerHour ?? null);
  }

  #makeReservation(entry: Entry<Request, Placement>, placement: Placement, startMs: number, wasCleared: boolean) {
    const { tenantId, demand, preemptible } = entry.workload;
    if (wasCleared) this.#giveWay(entry, placement);
    // What others were stopped for takes their quota, too, as they go: until then more counts as used than is there.
    // A loan is not held for later.
    const answer = this.books.quotas.check(tenantId, demand, preemptible);
    const holdsQuota = wasCleared || ('fits' in answer && answer.fits === 'own');
    this.books.makeReservation({ entry, placement, startMs, madeAtMs: this.#nowMs, wasCleared, holdsQuota });
    if (holdsQuota) this.books.settle(entry);
  }

  /**
   * What others stop for goes to it. A place kept before on the same machines, for work that comes after it, would be served
   * first as they go (the oldest is), and others would be stopped for it again.
   */
  #giveWay(entry: Entry<Request, Placement>, placement: Placement): void {
    const { books } = this;
    for (const each of books.reservations.all()) {
      if (each.wasCleared || each.entry === entry || !books.before(entry, each.entry)) continue;
      if (books.ground.touch(placement, each.placement)) books.dropReservation(each.entry.id);
    }
  }

  /** It is looked at then, or before: each look that changes nothing asks for the next one. */
  #look(atMs: number, entry: Entry<Request, Placement>): void {
    if (entry.lookAtMs !== null && entry.lookAtMs > this.#nowMs && entry.lookAtMs <= atMs) return;
    entry.lookAtMs = atMs;
    this.#time(atMs, entry.id, 'look');
  }

  #time(atMs: number, id: string, what: Timer['what']): void {
    this.#timersSet += 1;
    this.#timers.add({ atMs, number: this.#timersSet, id, what });
  }
}
