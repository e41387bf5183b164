/** A cell as the RayCluster that it is says of itself. */
import type { CellStatus, MegaRayClusterStatus } from '../../api/megaraycluster.js';
import { isTrue } from '../conditions.js';
import type { RayCluster } from '../kubernetes-objects.js';
import { megaAnnotations, megaLabels } from './names.js';

export type CellState = 'Ready' | 'Degraded' | 'Starting' | 'Broken' | 'Suspended' | 'Deleting' | 'Unknown';
export type Trouble = 'broken' | 'unreachable';

export interface Place {
  kubernetesCluster: string;
  domain: string | undefined;
}

export interface Cell {
  name: string;
  group: string;
  place: Place;
  /** `undefined` where only the status speaks of the cell, and says that it is as wanted. */
  templateHash: string | undefined;
  appliedHash: string;
  createdAt: string;
  state: CellState;
  /** The head is ready, and enough workers are: work can be done in it. */
  serving: boolean;
  trouble: { kind: Trouble; sinceMs: number } | undefined;
  readyWorkers: number;
  desiredWorkers: number;
  message: string;
  /** Not there of a cell that is only known from the status that was written before its Kubernetes cluster fell silent. */
  object: RayCluster | undefined;
}

export interface CellContext {
  kubernetesCluster: string;
  reachable: boolean;
  minReadyWorkersPercent: number;
  /** What was known of it at the last look. */
  before: { kind: Trouble; sinceMs: number } | undefined;
  nowMs: number;
}

export const samePlace = (a: Place, b: Place) => a.kubernetesCluster === b.kubernetesCluster && a.domain === b.domain;

export function cellOf(object: RayCluster, context: CellContext): Cell {
  const { metadata, status } = object;
  const wanted = wantedWorkers(object);
  const readyWorkers = status?.readyWorkerReplicas ?? 0;
  const headReady = isHeadReady(object);
  const serving = context.reachable && headReady && readyWorkers * 100 >= wanted * context.minReadyWorkersPercent;
  const state = stateOf(object, context.reachable, serving, readyWorkers >= wanted);
  const kind = troubleOf(state, serving);
  return {
    name: metadata.name,
    group: metadata.labels?.[megaLabels.group] ?? '',
    place: { kubernetesCluster: context.kubernetesCluster, domain: metadata.labels?.[megaLabels.domain] },
    templateHash: metadata.annotations?.[megaAnnotations.templateHash] ?? '',
    appliedHash: metadata.annotations?.[megaAnnotations.appliedHash] ?? '',
    createdAt: metadata.creationTimestamp ?? '',
    state,
    serving,
    trouble: kind && { kind, sinceMs: sinceOf(kind, object, context) },
    readyWorkers,
    desiredWorkers: status?.desiredWorkerReplicas ?? wanted,
    message: state === 'Ready' || state === 'Suspended' ? '' : messageOf(object),
    object,
  };
}

/** What an autoscaler has asked for on top is no fault of the cell when it cannot be had. */
function wantedWorkers({ spec, status }: RayCluster): number {
  const autoscaled = spec.enableInTreeAutoscaling ? status?.minWorkerReplicas : undefined;
  return autoscaled ?? status?.desiredWorkerReplicas ?? 0;
}

/** An operator that writes no such condition says it by the state alone. */
function isHeadReady({ status }: RayCluster): boolean {
  const condition = status?.conditions?.find(({ type }) => type === 'HeadPodReady');
  return condition ? condition.status === 'True' : status?.state === 'ready';
}

function stateOf({ metadata, spec, status }: RayCluster, reachable: boolean, serving: boolean, whole: boolean) {
  if (!reachable) return 'Unknown';
  if (metadata.deletionTimestamp) return 'Deleting';
  if (status?.state === 'suspended' && spec.suspend) return 'Suspended';
  if (status?.state !== 'ready') return 'Starting';
  if (!serving) return 'Broken';
  return whole ? 'Ready' : 'Degraded';
}

function troubleOf(state: CellState, serving: boolean): Trouble | undefined {
  if (state === 'Unknown') return 'unreachable';
  return !serving && (state === 'Starting' || state === 'Broken') ? 'broken' : undefined;
}

function sinceOf(kind: Trouble, { metadata, status }: RayCluster, { before, nowMs }: CellContext): number {
  if (before?.kind === kind) return before.sinceMs;
  if (kind === 'unreachable') return nowMs;
  // Of a cell that has come up and broken since, its head knows; of one that is starting, its own beginning.
  const type = status?.state === 'ready' ? 'HeadPodReady' : 'RayClusterProvisioned';
  const condition = status?.conditions?.find(each => each.type === type && each.status === 'False');
  const began = status?.state === 'ready' ? undefined : metadata.creationTimestamp;
  return Date.parse(condition?.lastTransitionTime ?? began ?? '') || nowMs;
}

function messageOf({ status }: RayCluster): string {
  const failed = status?.conditions?.find(({ type, status: is }) => type === 'ReplicaFailure' && is === 'True');
  const head = status?.conditions?.find(({ type, status: is }) => type === 'HeadPodReady' && is !== 'True');
  const invalid = status?.conditions?.find(({ type, status: is }) => type === 'SpecValid' && is === 'False');
  const words = [invalid, failed, head].find(Boolean);
  if (words) return `${words.reason} ${words.message}`.trim();
  const isFull = isTrue(status?.conditions, 'RayClusterProvisioned');
  return isFull ? '' : (status?.conditions?.find(({ type }) => type === 'RayClusterProvisioned')?.message ?? '');
}

/**
 * The cells of a Kubernetes cluster that has not answered since the operator started, as the last status has them: those
 * that it names, and as many nameless ones as it only counts.
 */
export function rememberedCells(status: MegaRayClusterStatus | undefined, cluster: string, nowMs: number): Cell[] {
  const named = (status?.cells ?? []).filter(({ kubernetesCluster }) => kubernetesCluster === cluster);
  const cells = named.map(each => remembered(each, nowMs));
  for (const { kubernetesCluster, group, domain, cells: count } of status?.places ?? []) {
    if (kubernetesCluster !== cluster) continue;
    const place = { kubernetesCluster, domain };
    const known = cells.filter(cell => cell.group === group && samePlace(cell.place, place)).length;
    const since = named.find(each => each.since)?.since;
    const unknown = { state: 'Unknown', ...(since ? { since } : {}) };
    const blank = { ...unknown, name: '', group, kubernetesCluster, domain, updated: true, headService: '' };
    for (let index = known; index < count; index += 1)
      cells.push(remembered({ ...blank, readyWorkers: 0, desiredWorkers: 0 }, nowMs));
  }
  return cells;
}

function remembered(cell: CellStatus, nowMs: number): Cell {
  const since = cell.state === 'Unknown' && cell.since ? Date.parse(cell.since) : nowMs;
  return {
    name: cell.name,
    group: cell.group,
    place: { kubernetesCluster: cell.kubernetesCluster, domain: cell.domain },
    templateHash: cell.updated ? undefined : '',
    appliedHash: '',
    createdAt: '',
    state: 'Unknown',
    serving: false,
    trouble: { kind: 'unreachable', sinceMs: since },
    readyWorkers: 0,
    desiredWorkers: cell.desiredWorkers,
    message: '',
    object: undefined,
  };
}
