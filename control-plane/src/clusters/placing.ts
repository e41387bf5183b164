/** Where Ray nodes that are wanted go: on one machine where they fit, else on several, all or nothing. Pure. */
import { type NodeId, slotOf } from '@iocloud/contracts';
import { placeEach, placeTogether, priceOf, rayLabelsOf } from '../core/matching/index.js';
import { type Apart, type Part, placeApart, placeMore } from './apart.js';
import { unaffordable } from './ending.js';
import {
  type ClusterFacts,
  type Ground,
  type LeaseFacts,
  type NewLease,
  type Place,
  type Plan,
  placeKey,
} from './facts.js';
import { freeAddresses, freeMeshAddresses, headIp, wantOf } from './places.js';

interface Wanted {
  want: Place[];
  /** Where they must go, when all of the cluster that runs is on one machine. */
  nodeId: NodeId | null;
  /** Part of it runs already, on machines of its network. */
  isMeshed: boolean;
}

type Placed = Pick<Plan, 'start' | 'refused'> & { seats: ReadonlyMap<NodeId, number> };

export function place(cluster: ClusterFacts, wanted: Wanted, ground: Ground): Placed {
  const { want, nodeId, isMeshed } = wanted;
  const nothing: Placed = { start: [], refused: null, seats: new Map() };
  if (want.length === 0) return nothing;
  const wants = want.map(wantOf);
  const refuse = (message: string, places = want, isForMoney = false): Plan['refused'] => {
    return { places, nodeId, message, isForMoney };
  };
  const paid = (made: Placed): Placed => {
    const price = made.start.reduce((sum, lease) => sum + lease.microUsdPerHour, 0);
    const why = unaffordable(cluster.budgetMicroUsd, cluster.spending, price);
    if (why !== null) return { ...nothing, refused: refuse(why) };
    const isRefused = cluster.uncovered !== null && made.start.length > 0;
    return isRefused ? { ...nothing, refused: refuse(cluster.uncovered ?? '', want, true) } : made;
  };
  const { rayVersion, requirements, tenantId } = cluster;
  const need: Apart = { wants, rayVersion, requirements, tenantId };
  if (isMeshed) {
    const { parts, refused } = placeMore(need, ground.all, machine => cluster.seats.byNode.has(machine.nodeId));
    const made = paid(meshedLeases(cluster, want, ground, parts));
    if (refused === null || made.refused) return made;
    const started = new Set(made.start.map(lease => placeKey(lease.place)));
    return {
      ...made,
      refused: refuse(
        refused,
        want.filter(one => !started.has(placeKey(one))),
      ),
    };
  }
  if (nodeId === null) {
    const together = placeTogether(wants, rayVersion, ground.offers);
    if (!('refused' in together)) return paid({ ...nothing, start: leasesOnOne(cluster, want, ground, together) });
    const why = ground.unsuitable ?? together.refused;
    if (want.length === 1 || ground.all.length === 0) return { ...nothing, refused: refuse(why) };
    const apart = placeApart(need, ground.all);
    if ('refused' in apart) return { ...nothing, refused: refuse(`${why}; ${apart.refused}`) };
    return paid(meshedLeases(cluster, want, ground, apart.parts));
  }
  const machine = ground.offers.find(offer => offer.nodeId === nodeId);
  if (!machine) return { ...nothing, refused: refuse(`the machine ${nodeId} is offline`) };
  const { assignments, refused } = placeEach(wants, rayVersion, machine);
  const made = paid({ ...nothing, start: leasesOnOne(cluster, want, ground, { nodeId, assignments }) });
  return refused === null ? made : { ...made, refused: refuse(refused) };
}

function leasesOnOne(cluster: ClusterFacts, want: Place[], ground: Ground, part: Part): NewLease[] {
  const nextAddress = freeAddresses(new Set(cluster.leases.map(lease => lease.nodeIp)));
  return leasesOf(cluster, want, ground, part, place => (place.role === 'head' ? headIp : nextAddress()), headIp);
}

/** Machines that join get the next slots. A Ray node for which a machine has no address left is left out, and waits. */
function meshedLeases(cluster: ClusterFacts, want: Place[], ground: Ground, parts: Part[]): Placed {
  const seats = new Map(cluster.seats.byNode);
  let { highest } = cluster.seats;
  for (const { nodeId } of parts) if (!seats.has(nodeId)) seats.set(nodeId, ++highest);
  const nextAddress = freeMeshAddresses(new Set(cluster.leases.map(lease => lease.nodeIp)));
  const head = cluster.leases.find(lease => lease.role === 'head')?.nodeIp ?? null;
  const start = parts.flatMap(part =>
    leasesOf(cluster, want, ground, part, () => nextAddress(seats.get(part.nodeId) ?? 0), head),
  );
  const newHead = start.find(lease => lease.place.role === 'head')?.nodeIp;
  const headAddress = newHead ?? head;
  if (headAddress === null) throw new Error('a cluster in a network has no head');
  return { start: start.map(lease => ({ ...lease, headIp: headAddress })), refused: null, seats };
}

function leasesOf(
  cluster: ClusterFacts,
  want: Place[],
  ground: Ground,
  { nodeId, assignments }: Part,
  addressOf: (place: Place) => string | null,
  head: string | null,
): NewLease[] {
  const machine = ground.all.find(offer => offer.nodeId === nodeId);
  const wanted = new Map(want.map(candidate => [placeKey(candidate), candidate]));
  return assignments.flatMap(({ key, memoryBytes, deviceIndices }) => {
    const target = wanted.get(key);
    const nodeIp = target ? addressOf(target) : null;
    if (!target || nodeIp === null) return [];
    return {
      place: target,
      nodeId,
      nodeIp,
      headIp: head ?? nodeIp,
      memoryBytes,
      deviceIndices,
      microUsdPerHour: machine ? priceOf(machine.terms, { cpus: target.needs.cpus, gpus: deviceIndices.length }) : 0,
      priceBasis: machine?.priceBasis ?? null,
      isOwn: machine?.ownerId === cluster.tenantId,
      simulated: machine?.devices.some(device => device.simulated && deviceIndices.includes(device.index)) ?? false,
      rayLabels: machine ? rayLabelsOf(machine, deviceIndices) : {},
    };
  });
}

/** A Ray node in the network of its cluster, which stands on several machines. */
export const isMeshed = (lease: Pick<LeaseFacts, 'nodeIp'>): boolean => slotOf(lease.nodeIp) !== null;

/** The machines that belong to the network once the plan is done: those that still hold something of it, and those that will. */
export function seatsAfter(
  cluster: ClusterFacts,
  remaining: readonly LeaseFacts[],
  { start, seats }: Pick<Placed, 'start' | 'seats'>,
): ReadonlyMap<NodeId, number> {
  const holding = new Set([
    ...remaining.filter(isMeshed).map(lease => lease.nodeId),
    ...start.filter(isMeshed).map(lease => lease.nodeId),
  ]);
  return new Map([...cluster.seats.byNode, ...seats].filter(([nodeId]) => holding.has(nodeId)));
}
