/** A MegaRayCluster and the cells that there are → which to make, to change, to delete. Pure: the controller carries it out. */
import type { MegaRayCluster } from '../kubernetes-objects.js';
import type { Hash } from '../spec-hash.js';
import { type Cell, type Place, samePlace } from './cells.js';
import { type DerivedGroup, type DerivedMega, isCurrent, isLost, type ObservedCells, placeKey } from './derived.js';
import { cellManifest, placesOf, withSuspension } from './manifest.js';
import { type CellManifest, cellName, localCluster, megaFinalizer } from './names.js';
import { type CellDeletion, removals } from './removals.js';
import { healthOf } from './shares.js';

export interface CellEffect {
  kubernetesCluster: string;
  manifest: CellManifest;
}

export interface MegaPlan {
  problems: string[];
  finalizer: 'add' | 'remove' | undefined;
  deletions: CellDeletion[];
  /** Of cells that live, in place. */
  updates: CellEffect[];
  creations: CellEffect[];
  /** When time alone will have changed something. */
  lookAgainInMs: number | undefined;
}

export interface MegaContext {
  newSuffix: () => string;
  hash: Hash;
}

export function planMega(
  mega: MegaRayCluster,
  derived: DerivedMega,
  observed: ObservedCells,
  context: MegaContext,
): MegaPlan {
  const { problems } = derived;
  const nothing: MegaPlan = {
    problems,
    finalizer: undefined,
    deletions: [],
    updates: [],
    creations: [],
    lookAgainInMs: undefined,
  };
  if (mega.metadata.deletionTimestamp) return { ...nothing, problems: [], ...farewell(mega, observed) };
  if (problems.length > 0) return nothing;
  if (needsFinalizer(mega, derived, observed)) return { ...nothing, finalizer: 'add' };
  const deletions = removals(mega, derived, observed);
  const leaving = new Set(deletions.map(({ cell }) => cell));
  return {
    ...nothing,
    deletions,
    updates: updates(mega, derived, observed, leaving, context.hash),
    creations: creations(mega, derived, observed, leaving, context),
    lookAgainInMs: nextDeadline(mega, observed),
  };
}

const hasFinalizer = ({ metadata }: MegaRayCluster) => metadata.finalizers?.includes(megaFinalizer) ?? false;

/** Before the first cell is made in a member: from then on somebody has to clear up there. */
function needsFinalizer(mega: MegaRayCluster, { groups }: DerivedMega, { reachable }: ObservedCells): boolean {
  if (hasFinalizer(mega)) return false;
  const clusters = [...groups.values()].flatMap(({ places }) => places.map(each => each.kubernetesCluster));
  return clusters.some(name => name !== localCluster && reachable.has(name));
}

/** Cells in members first; those at home go with the object, by Kubernetes' garbage collector. */
function farewell(mega: MegaRayCluster, { cells, known, reachable }: ObservedCells): Partial<MegaPlan> {
  if (!hasFinalizer(mega)) return {};
  const abroad = cells.filter(({ place }) => place.kubernetesCluster !== localCluster);
  const deletions = abroad
    .filter(({ state, object }) => object && state !== 'Deleting' && state !== 'Unknown')
    .map(cell => ({ cell, reason: 'the MegaRayCluster is deleted' }));
  if (abroad.length > 0) return { deletions };
  // One that does not answer may hold cells that nobody knows of here.
  const used = mega.spec.cellGroups.flatMap(placesOf).map(({ kubernetesCluster }) => kubernetesCluster);
  return used.every(name => reachable.has(name) || !known.has(name)) ? { finalizer: 'remove' } : {};
}

function updates(
  mega: MegaRayCluster,
  derived: DerivedMega,
  { cells }: ObservedCells,
  leaving: Set<Cell>,
  hash: Hash,
): CellEffect[] {
  return cells.flatMap(cell => {
    if (leaving.has(cell) || cell.state === 'Unknown' || cell.state === 'Deleting') return [];
    const { kubernetesCluster } = cell.place;
    const group = derived.groups.get(cell.group);
    if (!group || !isCurrent(cell, derived)) {
      const manifest = withSuspension(cell, mega.spec.suspend === true, hash);
      return manifest ? [{ kubernetesCluster, manifest }] : [];
    }
    if (group.appliedHashes.get(placeKey(cell.place)) === cell.appliedHash) return [];
    return [{ kubernetesCluster, manifest: cellManifest(mega, group.group, cell, group.templateHash, hash) }];
  });
}

interface Tally {
  derived: DerivedGroup;
  /** All that are there, those on their way out, too: they hold their GPUs. */
  live: number;
  current: number;
  places: { place: Place; current: number; live: number }[];
}

function tallies(mega: MegaRayCluster, derived: DerivedMega, observed: ObservedCells, leaving: Set<Cell>) {
  const byGroup = new Map<string, Tally>();
  for (const [name, group] of derived.groups) {
    const places = group.places.map(place => ({ place, current: 0, live: 0 }));
    byGroup.set(name, { derived: group, live: 0, current: 0, places });
  }
  let live = 0;
  for (const cell of observed.cells) {
    if (isLost(cell, mega, observed.nowMs)) continue;
    live += 1;
    const tally = byGroup.get(cell.group);
    if (!tally) continue;
    const place = tally.places.find(each => samePlace(each.place, cell.place));
    tally.live += 1;
    if (place) place.live += 1;
    if (leaving.has(cell) || cell.state === 'Deleting' || !isCurrent(cell, derived)) continue;
    tally.current += 1;
    if (place) place.current += 1;
  }
  return { live, groups: [...byGroup.values()] };
}

function creations(
  mega: MegaRayCluster,
  derived: DerivedMega,
  observed: ObservedCells,
  leaving: Set<Cell>,
  { newSuffix, hash }: MegaContext,
): CellEffect[] {
  const { live, groups } = tallies(mega, derived, observed, leaving);
  const taken = new Set(observed.cells.map(({ name }) => name));
  const made: CellEffect[] = [];
  let room = derived.desired + derived.budget.maxSurge - live;
  const make = (tally: Tally, atMost: number) => {
    const usable = tally.places.filter(({ place }) => observed.reachable.has(place.kubernetesCluster));
    const wanted = Math.min(tally.derived.desired - tally.current, atMost, room);
    for (let count = 0; count < wanted && usable.length > 0; count += 1) {
      const at = usable.reduce((best, each) => (isEmptier(each, best) ? each : best));
      let name: string;
      do name = cellName(mega.metadata.name, tally.derived.group.name, newSuffix());
      while (taken.has(name));
      taken.add(name);
      const { group, templateHash } = tally.derived;
      const manifest = cellManifest(mega, group, { name, place: at.place }, templateHash, hash);
      made.push({ kubernetesCluster: at.place.kubernetesCluster, manifest });
      for (const counts of [at, tally]) {
        counts.current += 1;
        counts.live += 1;
      }
      room -= 1;
    }
  };
  // First what is missing, in every group; what a rollout may have on top comes of what is left.
  for (const tally of groups) make(tally, tally.derived.desired - tally.live);
  for (const tally of groups) {
    const surge = groups.reduce((sum, each) => sum + Math.max(0, each.live - each.derived.desired), 0);
    make(tally, derived.budget.maxSurge - surge);
  }
  return made;
}

type Filling = Tally['places'][number];
const isEmptier = (a: Filling, b: Filling) => (a.current !== b.current ? a.current < b.current : a.live < b.live);

function nextDeadline(mega: MegaRayCluster, { cells, nowMs }: ObservedCells): number | undefined {
  const { replaceBrokenAfterMs, replaceUnreachableAfterMs } = healthOf(mega.spec);
  const waits = cells.flatMap(({ trouble }) => {
    if (!trouble) return [];
    const after = trouble.kind === 'broken' ? replaceBrokenAfterMs : replaceUnreachableAfterMs;
    const remaining = trouble.sinceMs + after - nowMs;
    return Number.isFinite(remaining) && remaining > 0 ? [remaining] : [];
  });
  return waits.length > 0 ? waits.reduce((least, each) => Math.min(least, each)) : undefined;
}
