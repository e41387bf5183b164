/** For what finds no room or whose quota is lent: whom to stop, or which place to keep, and from when it should be free. */
import type { Books } from './books.js';
import type { Entry } from './entry.js';
import { isRefusal } from './ground.js';
import { InOrder } from './in-order.js';
import { ceilingOf, yieldingTo } from './judgement.js';
import type { Wait, WaitCode } from './waiting.js';
import { needed, shortestPrefix, type WhatIf } from './what-if.js';
import { priorityClasses } from './workload.js';

type Priced = { microUsdPerHour: number };

export interface Victims<Request, Placement> {
  victims: Entry<Request, Placement>[];
  /** Where the work will go; null where only quota was called back. */
  placement: Placement | null;
}

interface Candidate<Request, Placement> {
  each: Entry<Request, Placement>;
  cost: number[];
}

const classOf = ({ workload }: { workload: { priorityClass: (typeof priorityClasses)[number] } }) =>
  priorityClasses.indexOf(workload.priorityClass);

/**
 * The running work to stop so that `entry` can go: never what is not preemptible, nor of a higher class. Lent quota is
 * called back from those of the cohort that borrow, of its own class too; beyond that, only classes that preempt stop
 * others, and only lower ones. None of the chosen could be spared. Null: nobody's stopping would help.
 */
export function chooseVictims<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  wait: Wait,
  nowMs: number,
): Victims<Request, Placement> | null {
  const preempts = books.terms.preempting.includes(entry.workload.priorityClass);
  const reclaims = wait.code === 'lent';
  if (!preempts && !reclaims) return null;
  const lower = (each: Entry<Request, Placement>) => preempts && classOf(each) < classOf(entry);
  const own = (each: Entry<Request, Placement>) => each.workload.tenantId === entry.workload.tenantId;
  // For quota, only those who hold what is wanted: its own tenant, or borrowers. Nobody is stopped to lend more.
  const helps: Partial<Record<WaitCode, (each: Entry<Request, Placement>) => boolean>> = {
    'no-room': lower,
    'tenant-quota': each => lower(each) && own(each),
    loan: each => lower(each) && (own(each) || isBorrower(books, entry, each)),
    lent: each => isBorrower(books, entry, each),
  };
  const near = wait.code === 'no-room' ? null : books.quotas.cohortMembers(entry.workload.tenantId);
  const candidates: Candidate<Request, Placement>[] = [];
  for (const each of near ? near.flatMap(tenantId => [...books.runningOf(tenantId)]) : books.running) {
    if (each.state !== 'running' || !each.workload.preemptible || !helps[wait.code]?.(each)) continue;
    if (near || concerns(books, entry, each)) candidates.push({ each, cost: costOf(each, nowMs) });
  }
  if (candidates.length === 0) return null;
  const cheapest = new InOrder(candidates, (one, other) => {
    const difference = compare(one.cost, other.cost);
    return difference === 0 ? one.each.id < other.each.id : difference < 0;
  });
  return books.reservations.without(books.reservations.all(), () => {
    // Where there is no room either way, nobody is stopped: what was given back would be lent again, and called back again.
    return search(books, entry, cheapest, reclaims, () => placeBesides(books, entry, nowMs));
  });
}

/** Whose end can be of no use is not tried: nothing of what is found is different without it. */
function concerns<Request, Placement extends Priced>(
  { ground }: Books<Request, Placement>,
  { workload }: Entry<Request, Placement>,
  { held }: Entry<Request, Placement>,
): boolean {
  return !ground.concerns || held === null || ground.concerns(workload.request, held.placement);
}

/** Would stopping it give back something of what is lent in the cohort of `entry`, at no higher class? */
function isBorrower<Request, Placement extends Priced>(
  { quotas }: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  other: Entry<Request, Placement>,
): boolean {
  const { tenantId } = other.workload;
  return (
    tenantId !== entry.workload.tenantId &&
    quotas.cohortOf(tenantId) === quotas.cohortOf(entry.workload.tenantId) &&
    classOf(other) <= classOf(entry) &&
    quotas.borrows(tenantId)
  );
}

/** The lowest class first, then the least work lost, then the least of it. */
function costOf<Request, Placement extends Priced>(victim: Entry<Request, Placement>, nowMs: number): number[] {
  const lostMs = nowMs - (victim.held?.checkpointedAtMs ?? nowMs);
  const price = victim.held?.placement.microUsdPerHour ?? 0;
  // Where nothing has a price, time is what is lost.
  return [classOf(victim), lostMs * price, lostMs, price];
}

function compare(one: number[], other: number[]): number {
  for (let index = 0; index < one.length; index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * All reservations are lifted; those that it does not stand before get theirs ahead of the answer. Never above the price
 * that it may go for: nobody is stopped, and no place kept, for what could not be paid then.
 */
function placeBesides<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  nowMs: number,
): { placement: Placement } | null {
  const { reservations, ground } = books;
  const yielding = yieldingTo(books, entry);
  const others = reservations.all().filter(other => !yielding.includes(other));
  for (const other of others) ground.reserve(`reservation of ${other.entry.id}`, other.placement);
  const answer = ground.place(entry.workload.request, ceilingOf(books, entry, nowMs)?.maxMicroUsdPerHour ?? null);
  for (const other of others) ground.release(`reservation of ${other.entry.id}`);
  return isRefusal(answer) ? null : { placement: answer };
}

function search<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  candidates: InOrder<Candidate<Request, Placement>>,
  reclaims: boolean,
  room: () => { placement: Placement | null } | null,
): Victims<Request, Placement> | null {
  const { tenantId, demand, preemptible } = entry.workload;
  const spared = new Set<Entry<Request, Placement>>();
  const world: WhatIf<Entry<Request, Placement>, { placement: Placement | null }> = {
    without: victim => {
      // Once its tenant is back within its quota, nothing more of it is called back.
      if (reclaims && !isBorrower(books, entry, victim)) {
        spared.add(victim);
        return;
      }
      books.ground.release(victim.id);
      books.quotas.free(victim.workload.tenantId, victim.workload.demand);
    },
    back: victim => {
      if (spared.delete(victim) || !victim.held) return;
      books.ground.take(victim.id, victim.held.placement);
      books.quotas.hold(victim.workload.tenantId, victim.workload.demand);
    },
    fits: () => ('fits' in books.quotas.check(tenantId, demand, preemptible) ? room() : null),
  };
  const inOrder = { length: candidates.length, at: (index: number) => candidates.at(index).each };
  const enough = shortestPrefix(inOrder, world);
  if (!enough) return null;
  const { placement } = enough.answer;
  const prefix = candidates.first(enough.length).map(({ each }) => each);
  const likely = prefix.filter(
    each =>
      each.workload.tenantId === tenantId ||
      isBorrower(books, entry, each) ||
      (placement !== null && each.held !== null && books.ground.touch(each.held.placement, placement)),
  );
  const least = needed(likely, world) ?? needed(prefix, world);
  return least && least.items.length > 0 ? { victims: least.items, placement: least.answer.placement } : null;
}

/** Where `entry` can go once these have ended. Null: not even then. */
export function placeAfter<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  ended: Entry<Request, Placement>[],
  nowMs: number,
): { placement: Placement } | null {
  return books.reservations.without(books.reservations.all(), () => {
    for (const { id } of ended) books.ground.release(id);
    const place = placeBesides(books, entry, nowMs);
    for (const { id, held } of ended) if (held) books.ground.take(id, held.placement);
    return place;
  });
}

export interface Plan<Placement> {
  placement: Placement;
  /** Infinite where something that must end first has no known end. */
  startMs: number;
}

/** Where `entry` can go once enough of what runs has ended, the earliest ends first. Null: not even when all have. */
export function planPlace<Request, Placement extends Priced>(
  books: Books<Request, Placement>,
  entry: Entry<Request, Placement>,
  nowMs: number,
): Plan<Placement> | null {
  const endMs = ({ held, stop }: Entry<Request, Placement>) =>
    Math.max(nowMs, stop?.graceUntilMs ?? held?.expectedEndMs ?? Number.POSITIVE_INFINITY);
  const ends = [];
  for (const each of books.running) if (concerns(books, entry, each)) ends.push({ each, endMs: endMs(each) });
  const byEnd = new InOrder(ends, (one, other) =>
    one.endMs === other.endMs ? one.each.id < other.each.id : one.endMs < other.endMs,
  );
  return books.reservations.without(books.reservations.all(), () => {
    const found = shortestPrefix(byEnd, {
      without: ({ each }) => books.ground.release(each.id),
      back: ({ each }) => each.held && books.ground.take(each.id, each.held.placement),
      fits: () => placeBesides(books, entry, nowMs),
    });
    return found && { placement: found.answer.placement, startMs: byEnd.at(found.length - 1).endMs };
  });
}
