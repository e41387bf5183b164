/** May this workload go now, and where? One answer for deciding and for explaining; it leaves everything as it was. */
import type { Books } from './books.js';
import { type Entry, ranksBefore } from './entry.js';
import { type GroundRefusal, isRefusal } from './ground.js';
import { isHopeless } from './hopes.js';
import type { Reservation } from './reservations.js';
import { affordableMicroUsdPerHour } from './spending.js';
import type { Wait, WaitCode } from './waiting.js';

export type Verdict<Placement> =
  | {
      admit: Placement;
      borrows: boolean /** It goes to a reserved place and ends before that is due. */;
      backfills: boolean;
    }
  | { wait: Wait };

type Priced = { microUsdPerHour: number };

export function judge<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  nowMs: number,
): Verdict<Placement> {
  if (entry.notBeforeMs > nowMs) return { wait: { code: 'backoff', untilMs: entry.notBeforeMs } };
  const yielding = yieldingTo(books, entry);
  const verdict = books.reservations.without(yielding, (): Verdict<Placement> => {
    const quota = judgeQuota(books, entry, books.reservations.of(entry.id)?.holdsQuota ?? false);
    if ('wait' in quota) return quota;
    const placed = judgeRoom(books, entry, yielding, nowMs);
    return 'wait' in placed ? placed : { ...placed, borrows: quota.borrows };
  });
  if (!('wait' in verdict) || !asksForMuch.includes(verdict.wait.code) || entry.awaiting > 0) return verdict;
  const ceiling = ceilingOf(books, entry, nowMs);
  const isTooDear =
    ceiling !== null && isHopeless(books, entry, ceiling.maxMicroUsdPerHour) && !isHopeless(books, entry, null);
  return isTooDear ? { wait: ceiling.exceeded(null) } : verdict;
}

/**
 * Who waits so has others stopped, and places and quota kept, but not for what could not pay: work that is too dear even
 * on empty ground waits for its price instead, so that what stands behind it in its lane gets all that.
 */
const asksForMuch: WaitCode[] = ['no-room', 'tenant-quota', 'lent', 'loan'];

/** Its own reservation, and those of work that it stands before. What others were stopped for yields to nobody. */
export function yieldingTo<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
): Reservation<Request, Placement>[] {
  return books.reservations
    .all()
    .filter(each => each.entry === entry || (!each.wasCleared && books.before(entry, each.entry)));
}

function judgeQuota<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  hasQuota: boolean,
): { borrows: boolean } | { wait: Wait } {
  const { quotas, quotaHolders } = books;
  const { tenantId, demand, preemptible } = entry.workload;
  const holder = quotaHolders.get(tenantId);
  if (holder && holder !== entry && !hasQuota && ranksBefore(holder, entry)) {
    return { wait: { code: 'behind-quota', behind: holder.id } };
  }
  const answer = quotas.check(tenantId, demand, preemptible);
  if ('waits' in answer) {
    const { waits, ...short } = answer;
    return { wait: { code: ({ tenant: 'tenant-quota', lent: 'lent', cohort: 'loan' } as const)[waits], ...short } };
  }
  const cohort = quotas.cohortOf(tenantId);
  if (answer.fits === 'loan' && cohort !== null && !hasQuota) {
    const { owed, patient } = books.loanLine(cohort);
    const creditor = [...owed].find(other => other !== entry);
    if (creditor) return { wait: { code: 'behind-loan', behind: creditor.id } };
    if (patient && patient !== entry && ranksBefore(patient, entry)) {
      return { wait: { code: 'behind-loan', behind: patient.id } };
    }
  }
  return { borrows: answer.fits === 'loan' };
}

function judgeRoom<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  yielding: Reservation<Request, Placement>[],
  nowMs: number,
): { admit: Placement; backfills: boolean } | { wait: Wait } {
  const ceiling = ceilingOf(books, entry, nowMs);
  const free = within(books, entry, ceiling, yielding);
  if (!isRefusal(free)) return 'wait' in free ? free : { ...free, backfills: false };
  const passed = passable(books, entry, nowMs).filter(each => !yielding.includes(each));
  if (passed.length > 0) {
    const lifted = [...yielding, ...passed];
    const lent = books.reservations.without(passed, () => within(books, entry, ceiling, lifted));
    if (!isRefusal(lent)) return 'wait' in lent ? lent : { ...lent, backfills: true };
  }
  return { wait: { code: 'no-room', message: free.refused } };
}

/**
 * Reservations that begin only after this work has ended, if it keeps to what it expects. Never one that others were stopped
 * for: those would come back for the rest of their grace, and be stopped again.
 */
function passable<Request, Placement extends Priced>(
  { reservations }: Books<Request, Placement>,
  { id, workload }: Entry<Request, Placement>,
  nowMs: number,
): Reservation<Request, Placement>[] {
  const { expectedDurationMs } = workload;
  if (expectedDurationMs === null) return [];
  return reservations
    .all()
    .filter(
      ({ entry, startMs, wasCleared }) =>
        entry.id !== id && !wasCleared && Number.isFinite(startMs) && nowMs + expectedDurationMs <= startMs,
    );
}

interface Ceiling {
  maxMicroUsdPerHour: number;
  /** By what is free now; null: nothing is, and nothing that could be is as cheap. */
  exceeded(microUsdPerHour: number | null): Wait;
}

/** The highest price that it may go for just now: by its budget, and by its wish while the deadline allows to wait. */
export function ceilingOf<Request, Placement extends Priced>(
  { terms }: Books<Request, Placement>,
  { workload, spentMicroUsd }: Entry<Request, Placement>,
  nowMs: number,
): Ceiling | null {
  const ceilings: Ceiling[] = [];
  if (workload.budgetMicroUsd !== null) {
    const leftMicroUsd = workload.budgetMicroUsd - spentMicroUsd;
    const heldMs = (workload.expectedDurationMs ?? terms.shortestRunMs) + terms.graceMs;
    const maxMicroUsdPerHour = affordableMicroUsdPerHour(leftMicroUsd, heldMs);
    ceilings.push({
      maxMicroUsdPerHour,
      exceeded: microUsdPerHour => ({ code: 'budget', microUsdPerHour, maxMicroUsdPerHour, leftMicroUsd }),
    });
  }
  const forcedAtMs = forcedAt(workload);
  if (workload.cheapWindow !== null && (forcedAtMs === null || nowMs < forcedAtMs)) {
    const { maxMicroUsdPerHour } = workload.cheapWindow;
    ceilings.push({
      maxMicroUsdPerHour,
      exceeded: microUsdPerHour => ({ code: 'price', microUsdPerHour, maxMicroUsdPerHour, forcedAtMs }),
    });
  }
  return ceilings.reduce<Ceiling | null>(
    (least, each) => (least === null || each.maxMicroUsdPerHour < least.maxMicroUsdPerHour ? each : least),
    null,
  );
}

/** When work that waits for a cheap window must start at any price. Null: never. */
export function forcedAt(workload: { deadlineMs: number | null; expectedDurationMs: number | null }): number | null {
  return workload.deadlineMs === null ? null : workload.deadlineMs - (workload.expectedDurationMs ?? 0);
}

/** The ground is asked without the ceiling first: its refusal is then about room, and stands for all of the shape. */
function within<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  ceiling: Ceiling | null,
  lifted: Reservation<Request, Placement>[],
): { admit: Placement } | { wait: Wait } | GroundRefusal {
  const any = books.place(entry, lifted);
  if (isRefusal(any)) return any;
  if (ceiling === null || any.microUsdPerHour <= ceiling.maxMicroUsdPerHour) return { admit: any };
  const cheap = books.ground.place(entry.workload.request, ceiling.maxMicroUsdPerHour);
  return isRefusal(cheap) ? { wait: ceiling.exceeded(any.microUsdPerHour) } : { admit: cheap };
}
