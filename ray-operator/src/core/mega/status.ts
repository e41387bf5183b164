/** What the operator says of a MegaRayCluster. Its size is bounded, however many cells there are. */
import type { CellStatus, MegaRayClusterStatus, PlaceStatus } from '../../api/megaraycluster.js';
import { type Finding, withFindings } from '../conditions.js';
import type { MegaRayCluster } from '../kubernetes-objects.js';
import { headServiceName } from '../names.js';
import { formatCount } from '../quantity.js';
import { podResources } from '../resources.js';
import { rfc3339 } from '../time.js';
import { desiredReplicas } from '../worker-groups.js';
import type { Cell } from './cells.js';
import { type DerivedGroup, type DerivedMega, isCurrent, isLost, type ObservedCells, placeKey } from './derived.js';
import { Availability } from './removals.js';

/** Cells that the status names; the rest is counted. A thousand are some 300 KB of the 1.5 MB that etcd takes. */
export const listedCells = 1_000;
const longestMessage = 200;
/** Cells in trouble whose words are told; of the others the state says enough. */
const listedMessages = 50;

export interface MegaStatusInput {
  mega: MegaRayCluster;
  derived: DerivedMega;
  observed: ObservedCells;
  /** Whether the plan has found anything to do. */
  isBusy: boolean;
  failure: { reason: string; message: string } | undefined;
  now: string;
}

export function megaStatusOf(input: MegaStatusInput): MegaRayClusterStatus {
  const { mega, derived, now } = input;
  const previous = mega.status ?? {};
  const generation = mega.metadata.generation ?? 0;
  const conditions = (findings: Finding[]) => withFindings(previous.conditions ?? [], findings, generation, now);
  if (derived.problems.length > 0) {
    const message = derived.problems.join('; ').slice(0, 2_000);
    const invalid: Finding = { type: 'SpecValid', status: 'False', reason: 'InvalidSpec', message };
    return { ...previous, observedGeneration: generation, conditions: conditions([invalid]) };
  }
  const counts = countsOf(input);
  return {
    ...counts,
    observedGeneration: generation,
    conditions: conditions(findingsOf(input, counts)),
    places: placesOfCells(input),
    ...listed(input),
  };
}

function countsOf({ mega, derived, observed }: MegaStatusInput) {
  const { nowMs } = observed;
  const cells = observed.cells.filter(({ state }) => state !== 'Deleting');
  const ready = cells.filter(({ state }) => state === 'Ready');
  const updated = cells.filter(cell => isCurrent(cell, derived) && !isLost(cell, mega, nowMs)).length;
  const groups = [...derived.groups.values()];
  const total = (each: (group: DerivedGroup) => number) =>
    groups.reduce((sum, group) => sum + group.desired * each(group), 0);
  const sizes = new Map(groups.map(group => [group.group.name, sizeOf(group)]));
  const gpus = (of: Iterable<[string, number]>) =>
    [...of].reduce((sum, [name, count]) => sum + (sizes.get(name)?.gpuMilli ?? 0n) * BigInt(count), 0n);
  const readyOf = new Map<string, number>();
  for (const { group } of ready) readyOf.set(group, (readyOf.get(group) ?? 0) + 1);
  return {
    desiredReplicas: derived.desired,
    replicas: cells.length,
    readyReplicas: ready.length,
    updatedReplicas: updated,
    unavailableReplicas: Math.max(0, derived.desired - ready.length),
    desiredWorkers: total(group => sizes.get(group.group.name)?.workers ?? 0),
    readyWorkers: cells.reduce((sum, cell) => sum + cell.readyWorkers, 0),
    desiredGPU: formatCount(gpus(groups.map(({ group, desired }) => [group.name, desired]))),
    readyGPU: formatCount(gpus(readyOf)),
  };
}

/** Of one cell as its template has it. */
function sizeOf({ group }: DerivedGroup) {
  const { headGroupSpec, workerGroupSpecs = [] } = group.template.spec;
  const pods = workerGroupSpecs.map(each => ({ count: desiredReplicas(each) * each.numOfHosts, each }));
  return {
    workers: pods.reduce((sum, { count }) => sum + count, 0),
    gpuMilli: pods.reduce(
      (sum, { count, each }) => sum + BigInt(count) * podResources(each.template).gpuMilli,
      podResources(headGroupSpec.template).gpuMilli,
    ),
  };
}

function findingsOf(input: MegaStatusInput, counts: ReturnType<typeof countsOf>): Finding[] {
  const { mega, derived, observed } = input;
  const isSuspended = mega.spec.suspend === true;
  const findings: Finding[] = [{ type: 'SpecValid', status: 'True', reason: 'Valid', message: '' }];
  const present = observed.cells.filter(cell => !isLost(cell, mega, observed.nowMs));
  const current = new Set(present.filter(cell => isCurrent(cell, derived)));
  const available = new Availability(derived, present, current);
  const inService = `${available.sum} of ${derived.desired} cells are in service`;
  if (isSuspended) findings.push(falseOf('Available', 'Suspended', 'the cells are suspended'));
  else if (available.sum >= available.least) findings.push(trueOf('Available', 'MinimumCellsAvailable', inService));
  else findings.push(falseOf('Available', 'MinimumCellsUnavailable', `${inService}, ${available.least} are needed`));
  findings.push(progress(input, counts, current), degradation(input));
  const wasSuspended = mega.status?.conditions?.some(({ type }) => type === 'Suspended');
  if (isSuspended || wasSuspended) findings.push(suspension(isSuspended, present));
  return findings;
}

const trueOf = (type: string, reason: string, message = ''): Finding => ({ type, status: 'True', reason, message });
const falseOf = (type: string, reason: string, message = ''): Finding => ({ type, status: 'False', reason, message });

function progress(
  { mega, derived, observed, isBusy }: MegaStatusInput,
  counts: { replicas: number },
  current: Set<Cell>,
) {
  const outdated = observed.cells.filter(({ state }) => state !== 'Deleting').length - current.size;
  const updated = [...current].filter(({ state }) => state === 'Ready' || state === 'Suspended').length;
  const words = `${updated} of ${derived.desired} cells are as wanted and ready`;
  if (outdated > 0 && derived.desired > 0) {
    return trueOf('Progressing', 'RollingUpdate', `${words}, ${outdated} are out of date or out of reach`);
  }
  if (counts.replicas !== derived.desired) return trueOf('Progressing', 'Scaling', words);
  if (isBusy) return trueOf('Progressing', 'UpdatingCells', words);
  const isDone = updated === derived.desired;
  return isDone
    ? falseOf('Progressing', 'Complete', words)
    : trueOf('Progressing', mega.spec.suspend ? 'Suspending' : 'WaitingForCells', words);
}

function degradation({ derived, observed, failure }: MegaStatusInput): Finding {
  if (failure) return trueOf('Degraded', failure.reason, failure.message.slice(0, 1_000));
  const wanted = [...derived.groups.values()].flatMap(({ places }) => places.map(each => each.kubernetesCluster));
  const silent = [...new Set(wanted)].filter(name => !observed.reachable.has(name));
  if (silent.length > 0) {
    const names = silent.slice(0, 10).join(', ');
    return trueOf('Degraded', 'KubernetesClusterUnreachable', `no answer from, or nothing known of: ${names}`);
  }
  const broken = observed.cells.filter(({ state }) => state === 'Broken' || state === 'Degraded');
  const [first] = broken;
  if (!first) return falseOf('Degraded', 'AllCellsWell');
  const words = `${broken.length} cells lack pods, among them ${first.name}: ${first.message}`;
  return trueOf('Degraded', 'CellsBroken', words.slice(0, 1_000));
}

function suspension(isSuspended: boolean, cells: Cell[]): Finding {
  if (!isSuspended) return falseOf('Suspended', 'Resumed');
  const awake = cells.filter(({ state }) => state !== 'Suspended').length;
  return awake === 0
    ? trueOf('Suspended', 'Suspended')
    : falseOf('Suspended', 'Suspending', `${awake} cells have pods`);
}

function placesOfCells({ derived, observed }: MegaStatusInput): PlaceStatus[] {
  const rows = new Map<string, PlaceStatus>();
  const row = (group: string, place: Cell['place']): PlaceStatus => {
    const key = `${group}/${placeKey(place)}`;
    const existing = rows.get(key);
    if (existing) return existing;
    const { kubernetesCluster, domain } = place;
    const made = {
      group,
      kubernetesCluster,
      ...(domain === undefined ? {} : { domain }),
      cells: 0,
      readyCells: 0,
      reachable: observed.reachable.has(kubernetesCluster),
    };
    rows.set(key, made);
    return made;
  };
  for (const [name, { places }] of derived.groups) for (const place of places) row(name, place);
  for (const { group, place, state } of observed.cells) {
    const counts = row(group, place);
    counts.cells += 1;
    if (state === 'Ready') counts.readyCells += 1;
  }
  return [...rows.values()];
}

function listed({ derived, observed }: MegaStatusInput): Pick<MegaRayClusterStatus, 'cells' | 'cellsOmitted'> {
  const named = observed.cells.filter(({ name }) => name !== '');
  const all = named.sort((a, b) => Number(b.trouble !== undefined) - Number(a.trouble !== undefined) || byName(a, b));
  const cells = all.slice(0, listedCells).map((cell, index) => lineOf(cell, isCurrent(cell, derived), index));
  const omitted = observed.cells.length - cells.length;
  return { cells, ...(omitted > 0 ? { cellsOmitted: omitted } : {}) };
}

const byName = (a: Cell, b: Cell) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

function lineOf(cell: Cell, updated: boolean, index: number): CellStatus {
  const { name, group, place, state, trouble, readyWorkers, desiredWorkers, message } = cell;
  return {
    name,
    group,
    kubernetesCluster: place.kubernetesCluster,
    ...(place.domain === undefined ? {} : { domain: place.domain }),
    state,
    ...(trouble ? { since: rfc3339(trouble.sinceMs) } : {}),
    updated,
    headService: headServiceName(name),
    readyWorkers,
    desiredWorkers,
    ...(message && index < listedMessages ? { message: message.slice(0, longestMessage) } : {}),
  };
}

/** Whether it is worth a write at once: what only moves numbers can wait a little. */
export function isUrgent(previous: MegaRayClusterStatus | undefined, next: MegaRayClusterStatus): boolean {
  const facts = (status: MegaRayClusterStatus | undefined) =>
    JSON.stringify([status?.observedGeneration, status?.conditions?.map(({ type, status: is }) => [type, is])]);
  return facts(previous) !== facts(next);
}
