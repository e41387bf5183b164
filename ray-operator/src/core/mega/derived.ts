/** What follows from a MegaRayCluster's spec alone, and what it makes of a cell. */
import type { CellGroup } from '../../api/megaraycluster.js';
import type { MegaRayCluster } from '../kubernetes-objects.js';
import type { Hash } from '../spec-hash.js';
import { type Cell, type Place, samePlace } from './cells.js';
import { cellManifest, cellTemplateHash, placesOf } from './manifest.js';
import { type CellManifest, megaAnnotations } from './names.js';
import { type Budget, budgetOf, cellShares, healthOf } from './shares.js';
import { validateMega } from './validation.js';

export interface DerivedGroup {
  group: CellGroup;
  desired: number;
  places: Place[];
  templateHash: string;
  /** Of the manifest of a cell in each place. */
  appliedHashes: Map<string, string>;
}

/** What follows from the spec alone, worked out once for each version of it. */
export interface DerivedMega {
  problems: string[];
  groups: Map<string, DerivedGroup>;
  desired: number;
  budget: Budget;
}

export interface ObservedCells {
  cells: Cell[];
  /** The Kubernetes clusters that the operator has been told how to reach. */
  known: ReadonlySet<string>;
  /** Those that answer. */
  reachable: ReadonlySet<string>;
  nowMs: number;
}

export const placeKey = ({ kubernetesCluster, domain }: Place) => `${kubernetesCluster}/${domain ?? ''}`;

export function deriveMega(mega: MegaRayCluster, hash: Hash): DerivedMega {
  const problems = validateMega(mega);
  if (problems.length > 0)
    return { problems, groups: new Map(), desired: 0, budget: { maxUnavailable: 0, maxSurge: 0 } };
  const shares = cellShares(mega.spec);
  const groups = mega.spec.cellGroups.map((group): [string, DerivedGroup] => {
    const templateHash = cellTemplateHash(group, hash);
    const places = placesOf(group);
    const appliedHashes = places.map((place): [string, string] => [
      placeKey(place),
      appliedHashOf(cellManifest(mega, group, { name: '', place }, templateHash, hash)),
    ]);
    const desired = shares.get(group.name) ?? 0;
    return [group.name, { group, desired, places, templateHash, appliedHashes: new Map(appliedHashes) }];
  });
  const desired = [...shares.values()].reduce((sum, cells) => sum + cells, 0);
  return { problems, groups: new Map(groups), desired, budget: budgetOf(mega.spec, desired) };
}

const appliedHashOf = ({ metadata }: CellManifest) => metadata.annotations?.[megaAnnotations.appliedHash] ?? '';

/** Whether the cell is what the spec would make today, where it would make it. */
export function isCurrent(cell: Cell, { groups }: DerivedMega): boolean {
  const group = groups.get(cell.group);
  if (!group?.places.some(place => samePlace(place, cell.place))) return false;
  return cell.templateHash === undefined || cell.templateHash === group.templateHash;
}

/** Given up: its Kubernetes cluster has been silent for so long that the cell is made elsewhere. */
export const isLost = ({ trouble }: Cell, mega: MegaRayCluster, nowMs: number) =>
  trouble?.kind === 'unreachable' && nowMs - trouble.sinceMs >= healthOf(mega.spec).replaceUnreachableAfterMs;
