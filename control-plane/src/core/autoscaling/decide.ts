/**
 * Sizes of worker groups between their bounds.
 *
 * Up: what waits is packed, first-fit and biggest first, into what the live nodes have free, then into the workers that
 * are on their way, then into new ones of the leanest group that can carry it. Only what fits a node of a group makes it
 * grow, and a placement group only when all of it will fit. What programs request counts against whole nodes, used or not. A group grows by at most as many workers as it has, or
 * `minStep`, at a time, and rests for `restMs` between two growths so that what Ray reports catches up.
 *
 * Down: a worker that Ray has called idle for the group's idle time, and for which nothing waits or was requested, the
 * longest idle first.
 * A worker that found no place, and that nothing waits for any more, is given up after the same time.
 */
import { type Bin, copyOf, fits, sumOf, take } from './bins.js';
import { type Bundle, bundleInWords, type Demand, type Gang } from './demand.js';

const minStep = 4;
const restMs = 5_000;
/** So long at least a worker is waited for. */
const joinMs = 30_000;
/** Workers retired at a time, all groups together: each is asked whether it may go. */
const maxRetired = 16;

export interface Group {
  name: string;
  /** Workers wanted now. */
  count: number;
  minCount: number;
  maxCount: number;
  idleTimeoutMs: number;
  /** What one worker offers, by Ray's names. */
  shape: Record<string, number>;
  labels: Record<string, string>;
  /** Workers that are being started: they will join, and are not given up before. */
  starting: number;
  /** When it last grew by a decision; null: never. */
  grownAtMs: number | null;
}

/** A Ray node that has joined, the head too. */
export interface Worker {
  id: string;
  /** A group that is not among those to be sized is never shrunk, but what it has free is used. */
  group: string;
  labels: Record<string, string>;
  free: Record<string, number>;
  total: Record<string, number>;
  /** For how long Ray has called it idle; null: it is not. */
  idleMs: number | null;
}

export interface Situation {
  groups: Group[];
  workers: Worker[];
  demand: Demand;
  nowMs: number;
}

export interface Growth {
  group: string;
  by: number;
  /** What waits, in words. */
  why: string;
}

export interface Retirement {
  id: string;
  group: string;
  idleMs: number;
}

export interface Decision {
  grow: Growth[];
  /** To be drained, and ended if the drain is accepted. */
  retire: Retirement[];
  /** Wanted workers that have found no place and that nothing waits for any more. */
  giveUp: { group: string; by: number }[];
}

/** One group while the decision is being made. */
interface Draft {
  group: Group;
  joined: number;
  /** On their way. */
  coming: Bin[];
  added: Bin[];
  /** The demand that made it grow, in words. */
  reasons: Set<string>;
}

export function decide({ groups, workers, demand, nowMs }: Situation): Decision {
  const present = new Map(workers.map(worker => [worker.id, binOf(worker)]));
  const drafts = groups.map((group): Draft => {
    const joined = workers.filter(worker => worker.group === group.name).length;
    const coming = Array.from({ length: Math.max(0, group.count - joined) }, () => newBin(group));
    return { group, joined, coming, added: [], reasons: new Set() };
  });
  const bins = [...present.values()];
  const biggestFirst = (demands: Demand['waiting']) =>
    [...demands].sort((left, right) => compareSizes(right.bundle, left.bundle));
  for (const { bundle, count } of biggestFirst(demand.requested)) placeEach(bundle, count, 'whole', bins, drafts);
  for (const gang of demand.gangs) placeGang(gang, bins, drafts);
  for (const { bundle, count } of biggestFirst(demand.waiting)) placeEach(bundle, count, 'free', bins, drafts);

  const giveUp = drafts.flatMap(draft => surplus(draft, nowMs));
  const givenUp = new Map(giveUp.map(({ group, by }) => [group, by]));
  return {
    grow: drafts.flatMap(draft => growth(draft, nowMs)),
    retire: drafts
      .flatMap(draft => retirements(draft, givenUp.get(draft.group.name) ?? 0, workers, present))
      .slice(0, maxRetired),
    giveUp,
  };
}

const binOf = (worker: Worker): Bin => ({
  group: worker.group,
  labels: worker.labels,
  free: { ...worker.free },
  whole: { ...worker.total },
  needed: false,
});
const newBin = ({ name, labels, shape }: Group): Bin => ({
  group: name,
  labels,
  free: { ...shape },
  whole: { ...shape },
  needed: false,
});

const size = ({ resources }: Bundle): [gpus: number, cpus: number] => [resources.GPU ?? 0, resources.CPU ?? 0];
function compareSizes(left: Bundle, right: Bundle): number {
  const [leftGpus, leftCpus] = size(left);
  const [rightGpus, rightCpus] = size(right);
  return leftGpus - rightGpus || leftCpus - rightCpus;
}

/** Groups that may have one more worker and whose workers can carry the bundle, the leanest first. */
function growable(drafts: Draft[], bundle: Bundle): Draft[] {
  const lean = ({ group }: Draft): Bundle => ({ resources: group.shape, labels: [] });
  return drafts
    .filter(
      draft => draft.group.count + draft.added.length < draft.group.maxCount && fits(newBin(draft.group), bundle) > 0,
    )
    .sort((left, right) => compareSizes(lean(left), lean(right)));
}

/** Of tasks that wait, and of bundles that are requested, as many as possible. */
function placeEach(bundle: Bundle, count: number, ledger: 'free' | 'whole', present: Bin[], drafts: Draft[]): void {
  let left = count;
  const fill = (bin: Bin) => {
    const times = Math.max(0, Math.min(left, fits(bin, bundle, ledger)));
    if (times > 0) take(bin, bundle, times, ledger);
    left -= times;
  };
  for (const bin of [...present, ...drafts.flatMap(draft => [...draft.coming, ...draft.added])]) {
    if (left === 0) return;
    fill(bin);
  }
  while (left > 0) {
    const [draft] = growable(drafts, bundle);
    if (!draft) return;
    const waits = `${count} ${count === 1 ? 'task waits' : 'tasks wait'} for ${bundleInWords(bundle)} each`;
    draft.reasons.add(ledger === 'free' ? waits : `a program requests ${count} times ${bundleInWords(bundle)}`);
    const bin = newBin(draft.group);
    draft.added.push(bin);
    fill(bin);
  }
}

/** All of it, or nothing of it counts. */
function placeGang(gang: Gang, present: Bin[], drafts: Draft[]): void {
  const bundles = gang.strategy === 'strict-pack' ? [sumOf(gang.bundles)] : gang.bundles;
  const before = [...present, ...drafts.flatMap(draft => [...draft.coming, ...draft.added])];
  const trial = before.map(copyOf);
  const opened: { draft: Draft; bin: Bin }[] = [];
  const used = new Set<Bin>();
  for (const bundle of [...bundles].sort((left, right) => compareSizes(right, left))) {
    const candidates = [...trial, ...opened.map(({ bin }) => bin)];
    let bin = candidates.find(one => !(gang.strategy === 'strict-spread' && used.has(one)) && fits(one, bundle) > 0);
    if (!bin) {
      const [draft] = growable(drafts, bundle);
      if (!draft) {
        for (const { draft: grown } of opened) grown.added.pop();
        return;
      }
      bin = newBin(draft.group);
      draft.added.push(bin);
      opened.push({ draft, bin });
    }
    used.add(bin);
    take(bin, bundle, 1);
  }
  for (const [index, bin] of before.entries()) Object.assign(bin, trial[index]);
  const [first] = gang.bundles;
  const each = first ? `, the first of ${bundleInWords(first)}` : '';
  for (const { draft } of opened) {
    draft.reasons.add(`a placement group of ${gang.bundles.length} bundles waits${each}`);
  }
}

function growth({ group, added, reasons }: Draft, nowMs: number): Growth[] {
  if (added.length === 0) return [];
  if (group.grownAtMs !== null && nowMs - group.grownAtMs < restMs) return [];
  const by = Math.min(added.length, Math.max(minStep, group.count), group.maxCount - group.count);
  return by > 0 ? [{ group: group.name, by, why: [...reasons].slice(0, 3).join('; ') }] : [];
}

function retirements(draft: Draft, givenUp: number, workers: Worker[], present: Map<string, Bin>): Retirement[] {
  const { group, added } = draft;
  if (added.length > 0) return [];
  const idle = workers.flatMap(({ id, group: name, idleMs }): Retirement[] => {
    const isIdle = name === group.name && idleMs !== null && idleMs >= group.idleTimeoutMs && !present.get(id)?.needed;
    return isIdle ? [{ id, group: name, idleMs }] : [];
  });
  idle.sort((left, right) => right.idleMs - left.idleMs || (left.id < right.id ? 1 : -1));
  return idle.slice(0, Math.max(0, group.count - givenUp - group.minCount));
}

function surplus({ group, joined, coming, added }: Draft, nowMs: number): Decision['giveUp'] {
  if (added.length > 0 || group.grownAtMs === null) return [];
  if (nowMs - group.grownAtMs < Math.max(group.idleTimeoutMs, joinMs)) return [];
  const unneeded = coming.filter(bin => !bin.needed).length;
  const by = Math.min(unneeded, group.count - Math.max(group.minCount, joined + group.starting));
  return by > 0 ? [{ group: group.name, by }] : [];
}
