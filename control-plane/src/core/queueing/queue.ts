/**
 * The queue: who goes next, where, and whom that stops. Pure: the time comes in with each call, the ground is a port, and
 * the same calls give the same decisions. The host makes decisions true and reports what became of them.
 */
import { Books } from './books.js';
import { type Entry, type Held, ranksBefore, type Stop } from './entry.js';
import type { Ground } from './ground.js';
import { judge } from './judgement.js';
import { rankMs } from './order.js';
import type { Demand, TenantTerms } from './quota.js';
import { costMicroUsd } from './spending.js';
import { Steps } from './steps.js';
import { defaultQueueTerms, type QueueTerms } from './terms.js';
import { sentence, type Wait } from './waiting.js';
import { nextState, type Workload, type WorkloadChanges, type WorkloadState } from './workload.js';

export type QueueDecision<Placement> =
  | {
      kind: 'admit';
      id: string;
      /** 1 for its first attempt: the fencing number of what is started now. */
      admission: number;
      placement: Placement;
      borrows: boolean;
      backfills: boolean;
      /** When its budget has it told to stop. */
      stopAtMs: number | null;
      /**
       * When its machine must end it by itself, whether or not it hears of us: a budget holds also while the control plane
       * is down. Nothing is charged beyond.
       */
      endAtMs: number | null;
    }
  /** Signal it to write a checkpoint and end; report `freed` when nothing of it holds anything. */
  | ({ kind: 'stop'; id: string } & Stop)
  /** Its grace is over: end it by force, and report `freed`. */
  | { kind: 'force'; id: string };

export interface StepLimits {
  maxAdmissions?: number;
  /** How many lanes are looked at. */
  maxTries?: number;
}

export interface Step<Placement> {
  decisions: QueueDecision<Placement>[];
  /** False: a limit ended the step, and there is more to decide now. */
  settled: boolean;
}

export interface Explanation {
  state: WorkloadState;
  /** Null: it runs, or goes with the next step. */
  wait: Wait | null;
  sentence: string;
  /** When it should begin, where a place is reserved and all ends are known. */
  expectedStartMs: number | null;
  /** From when its age puts it before all new work, of any class and tenant. */
  firstFromMs: number;
  spentMicroUsd: number;
}

/** What is known of a workload from before. Those that have been told to stop come before those whom it is for. */
export interface Adoption<Placement> {
  admissions: number;
  spentMicroUsd: number;
  /** Null: it waits. */
  held: Held<Placement> | null;
  /** It has been told to stop. */
  stop: Stop | null;
  /** Null: nothing, or it has changed since. */
  memory: Memory<Placement> | null;
}

/** What of a queued workload cannot be read off anything else, for a queue that is built anew. */
export interface Memory<Placement> {
  /** Since when it has been waiting to borrow. */
  loanSinceMs: number | null;
  /** It waits for what its tenant has lent: nobody borrows before it. */
  isOwed: boolean;
  /** Others were told to stop for it, and may have ended since. */
  cleared: { placement: Placement; startMs: number; madeAtMs: number } | null;
}

type Priced = { microUsdPerHour: number };

export class Queue<Request, Placement extends Priced> {
  readonly #books: Books<Request, Placement>;
  readonly #steps: Steps<Request, Placement>;

  constructor(
    ground: Ground<Request, Placement>,
    readonly terms: QueueTerms = defaultQueueTerms,
  ) {
    this.#books = new Books(ground, terms);
    this.#steps = new Steps(this.#books);
  }

  /** Of everything that there is, of which shares are counted. */
  setCapacity(capacity: Demand): void {
    this.#books.quotas.setCapacity(capacity);
    for (const tenantId of this.#books.quotas.tenants()) this.#books.shareChanged(tenantId);
  }

  setTenant(terms: TenantTerms): void {
    const { quotas } = this.#books;
    const before = quotas.knows(terms.tenantId) ? quotas.cohortOf(terms.tenantId) : null;
    quotas.setTenant(terms);
    this.#books.shareChanged(terms.tenantId);
    this.#books.quotaFreed(terms.tenantId);
    if (before !== null) {
      this.#books.cohortFreed(before);
      this.#books.loanLineMoved(before);
    }
  }

  /** The reason when it could never be admitted. */
  submit(workload: Workload<Request>, adopted: Adoption<Placement> | null = null): { refused: string } | null {
    const { entries, backlog, terms } = this.#books;
    if (entries.has(workload.id)) throw new Error(`workload ${workload.id} is in the queue already`);
    const refused = adopted?.held ? null : this.#never(workload);
    if (refused !== null) return { refused };
    const entry: Entry<Request, Placement> = {
      id: workload.id,
      workload,
      state: adopted?.held ? (adopted.stop ? 'stopping' : 'running') : 'queued',
      rankMs: rankMs(workload, terms.order),
      lane: null,
      leads: false,
      aside: null,
      notBeforeMs: Number.NEGATIVE_INFINITY,
      loanSinceMs: adopted?.memory?.loanSinceMs ?? null,
      lookAtMs: null,
      held: adopted?.held ?? null,
      stop: adopted?.stop ?? null,
      awaiting: adopted?.held ? 0 : this.#books.stoppingFor(workload.id).length,
      admissions: adopted?.admissions ?? 0,
      spentMicroUsd: adopted?.spentMicroUsd ?? 0,
      preemptAfterMs: Number.NEGATIVE_INFINITY,
    };
    entries.set(entry.id, entry);
    if (!entry.held) {
      backlog.add(entry);
      this.#remember(entry, adopted?.memory ?? null);
    } else {
      this.#books.take(entry, entry.held.placement);
      this.#books.stopsFor(entry, entry.stop?.forId ?? null);
      this.#steps.timeStop(entry);
    }
    return null;
  }

  #remember(entry: Entry<Request, Placement>, memory: Memory<Placement> | null): void {
    const cohort = this.#books.quotas.cohortOf(entry.workload.tenantId);
    if (memory?.isOwed && cohort !== null) this.#books.loanLine(cohort).owed.add(entry);
    if (!memory?.cleared) return;
    this.#books.makeReservation({ ...memory.cleared, entry, wasCleared: true, holdsQuota: true });
  }

  /** Null for what does not wait, and where there is nothing to remember. */
  memoryOf(id: string): Memory<Placement> | null {
    const entry = this.#entry(id);
    if (entry.state !== 'queued') return null;
    const { tenantId } = entry.workload;
    const cohort = this.#books.quotas.cohortOf(tenantId);
    const isOwed = cohort !== null && this.#books.loanLine(cohort).owed.has(entry);
    const reservation = this.#books.reservations.of(id);
    const cleared = reservation?.wasCleared
      ? { placement: reservation.placement, startMs: reservation.startMs, madeAtMs: reservation.madeAtMs }
      : null;
    if (entry.loanSinceMs === null && !isOwed && cleared === null) return null;
    return { loanSinceMs: entry.loanSinceMs, isOwed, cleared };
  }

  #never(workload: Workload<Request>): string | null {
    const { tenantId, demand, preemptible, budgetMicroUsd } = workload;
    if (budgetMicroUsd !== null && budgetMicroUsd <= 0) return 'its budget is nothing';
    return this.#books.quotas.never(tenantId, demand, preemptible);
  }

  /** Only of what is queued; it keeps its submission time. The reason when it cannot be changed so. */
  change(id: string, changes: WorkloadChanges<Request>): { refused: string } | null {
    const entry = this.#entry(id);
    if (entry.state !== 'queued') return { refused: `it is ${entry.state}: only queued work can be changed` };
    const workload = { ...entry.workload, ...changes };
    const refused = this.#never(workload);
    if (refused !== null) return { refused };
    this.#leave(entry);
    entry.workload = workload;
    entry.rankMs = rankMs(workload, this.terms.order);
    this.#books.backlog.add(entry);
    return null;
  }

  /** Takes it out of the queue, or out of what runs: the host has ended it. */
  withdraw(id: string, nowMs: number): void {
    this.#end(this.#entry(id), 'withdraw', nowMs);
  }

  /** Its work is done, well or badly: it will not run again. */
  finished(id: string, nowMs: number): void {
    this.#end(this.#entry(id), 'finish', nowMs);
  }

  /** What was told to stop holds nothing any more: it waits again at its old place, or has ended with its budget. */
  freed(id: string, nowMs: number): void {
    const entry = this.#entry(id);
    if (entry.stop?.why === 'budget') this.#end(entry, 'freedForGood', nowMs);
    else this.#requeue(entry, 'freedForOthers', nowMs, nowMs);
  }

  /** Its attempt is over through no fault of its own: it waits again at its old place, not before the time given. */
  lost(id: string, nowMs: number, notBeforeMs: number): void {
    const entry = this.#entry(id);
    if (entry.stop?.why === 'budget') this.#end(entry, 'finish', nowMs);
    else this.#requeue(entry, 'lose', nowMs, notBeforeMs);
  }

  checkpointed(id: string, atMs: number): void {
    const { held } = this.#entry(id);
    if (held) held.checkpointedAtMs = atMs;
  }

  /** Machines came, went or changed their price. Reserved places are thought about anew. */
  groundChanged(): void {
    this.#books.hopes.clear();
    for (const { entry } of this.#books.reservations.all()) this.#books.dropReservation(entry.id);
    this.#books.roomFreed();
  }

  /** Decides what can be decided now. Costs the lanes that it looks at, not the length of the queue. */
  decide(nowMs: number, limits: StepLimits = {}): Step<Placement> {
    return this.#steps.run(nowMs, limits);
  }

  /** When time alone makes a difference next. Null: never. */
  nextTimeMs(): number | null {
    return this.#steps.nextTimeMs();
  }

  explain(id: string, nowMs: number): Explanation {
    const entry = this.#entry(id);
    const common = {
      state: entry.state,
      firstFromMs: entry.workload.submittedAtMs + this.#steps.overtakingLimitMs(entry),
      spentMicroUsd: entry.spentMicroUsd + this.#accrued(entry, nowMs),
    };
    if (entry.state !== 'queued') {
      return { ...common, wait: null, sentence: `It is ${entry.state}.`, expectedStartMs: null };
    }
    const verdict = judge(this.#books, entry, nowMs);
    if (!('wait' in verdict)) {
      return { ...common, wait: null, sentence: 'It goes with the next step.', expectedStartMs: nowMs };
    }
    const startMs = this.#books.reservations.of(id)?.startMs ?? Number.POSITIVE_INFINITY;
    return {
      ...common,
      wait: verdict.wait,
      sentence: sentence(verdict.wait),
      expectedStartMs: Number.isFinite(startMs) ? startMs : null,
    };
  }

  /** Queued work in the order of rank, over all tenants, without their handicaps. */
  queued(): Workload<Request>[] {
    return [...this.#books.entries.values()]
      .filter(({ state }) => state === 'queued')
      .sort((one, other) => (ranksBefore(one, other) ? -1 : 1))
      .map(({ workload }) => workload);
  }

  /** Workloads that the queue knows: waiting, running and stopping. */
  get size(): number {
    return this.#books.entries.size;
  }

  stateOf(id: string): WorkloadState | null {
    return this.#books.entries.get(id)?.state ?? null;
  }

  shareOf(tenantId: string): number {
    return this.#books.quotas.shareOf(tenantId);
  }

  /** All that it has cost until now. */
  spentMicroUsd(id: string, nowMs: number): number {
    const entry = this.#entry(id);
    return entry.spentMicroUsd + this.#accrued(entry, nowMs);
  }

  #accrued({ held }: Entry<Request, Placement>, nowMs: number): number {
    if (!held) return 0;
    const endMs = Math.min(nowMs, (held.stopAtMs ?? Number.POSITIVE_INFINITY) + this.terms.graceMs);
    return costMicroUsd(held.placement.microUsdPerHour, endMs - held.sinceMs);
  }

  #requeue(
    entry: Entry<Request, Placement>,
    event: 'freedForOthers' | 'lose',
    nowMs: number,
    notBeforeMs: number,
  ): void {
    entry.state = nextState(entry.id, entry.state, event);
    this.#letGo(entry, nowMs);
    entry.notBeforeMs = notBeforeMs;
    this.#books.backlog.add(entry);
  }

  #end(entry: Entry<Request, Placement>, event: 'withdraw' | 'finish' | 'freedForGood', nowMs: number): void {
    entry.state = nextState(entry.id, entry.state, event);
    if (entry.held) this.#letGo(entry, nowMs);
    else this.#leave(entry);
    this.#books.entries.delete(entry.id);
  }

  #letGo(entry: Entry<Request, Placement>, nowMs: number): void {
    entry.spentMicroUsd += this.#accrued(entry, nowMs);
    const beneficiary = this.#books.entries.get(entry.stop?.forId ?? '');
    this.#books.release(entry);
    if (beneficiary) {
      beneficiary.awaiting -= 1;
      if (beneficiary.lane) this.#books.backlog.wake(beneficiary.lane);
    }
    entry.held = null;
    entry.stop = null;
  }

  #leave(entry: Entry<Request, Placement>): void {
    this.#books.backlog.remove(entry);
    this.#books.dropReservation(entry.id);
    this.#books.stepAside(entry);
    this.#books.settle(entry);
    entry.aside = null;
    entry.loanSinceMs = null;
  }

  #entry(id: string): Entry<Request, Placement> {
    const entry = this.#books.entries.get(id);
    if (!entry) throw new Error(`the queue has no workload ${id}`);
    return entry;
  }
}
