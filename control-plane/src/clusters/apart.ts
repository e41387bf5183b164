/**
 * Ray nodes of one cluster on several machines, where no single one carries them all: core/matching decides which, all or
 * nothing. Only machines that can join a network come into question. Pure.
 */
import type { ClusterId, NodeId, Requirements, TenantId } from '@iocloud/contracts';
import {
  fleetOf,
  type PlacementRequest,
  placeTogether,
  refusalInWords,
  requestOf,
  restricted,
  type Use,
  type Want,
  type Weights,
} from '../core/matching/index.js';
import type { Offers } from './facts.js';

export interface Apart {
  wants: Want[];
  rayVersion: string;
  tenantId: TenantId;
  requirements: Requirements | undefined;
}

/** What goes on one machine: as `placeTogether` answers. */
export type Part = Exclude<ReturnType<typeof placeTogether>, { refused: string }>;

/** Without requirements: where it fits closest, so that few machines are used and large rooms stay whole. */
const closestFit: Weights = { price: 0, speed: 0, place: 0, reputation: 0, stake: 0, load: 0, fit: 1 };

export const canJoin = ({ mesh, isolation, network }: Offers[number]): boolean =>
  network !== null || (mesh.able && isolation !== 'token-only');

/** Those that can be in one network: machines of agents by ours, nodes of a provider by its own. */
function byNetwork(machines: Offers): Offers[] {
  const networks = new Map<string | null, Offers>();
  for (const machine of machines.filter(canJoin)) {
    networks.set(machine.network, [...(networks.get(machine.network) ?? []), machine]);
  }
  return [...networks.values()];
}

export function requestApart({ tenantId, wants, rayVersion, requirements }: Apart): PlacementRequest {
  const request = requestOf(tenantId, wants, rayVersion, requirements ?? {});
  return { ...request, colocate: 'any', ...(requirements === undefined ? { weights: closestFit } : {}) };
}

/** Wants that the fleet cannot tell apart are one group of it, named after the first of them: see `requestOf`. */
function byGroup(need: Apart): Map<string, Want[]> {
  const groups = new Map<string, Want[]>();
  const alike = (want: Want) => JSON.stringify({ ...requestApart({ ...need, wants: [want] }).groups[0], name: '' });
  const names = new Map<string, string>();
  for (const want of need.wants) {
    const name = names.get(alike(want)) ?? want.key;
    names.set(alike(want), name);
    groups.set(name, [...(groups.get(name) ?? []), want]);
  }
  return groups;
}

/** All of the wants, or the reason in words why there is no room for them even on several machines. */
export function placeApart(need: Apart, machines: Offers): { parts: Part[] } | { refused: string } {
  const networks = byNetwork(machines);
  if (networks.length === 0) return { refused: unable(machines) };
  const answers = networks.map(able => placeIn(need, able));
  // Where several would do, the one with fewer machines.
  const [best] = answers
    .flatMap(answer => ('refused' in answer ? [] : [answer]))
    .sort((one, other) => one.parts.length - other.parts.length);
  return best ?? (answers[0] as { refused: string });
}

function placeIn(need: Apart, able: Offers): { parts: Part[] } | { refused: string } {
  const fleet = fleetOf(able);
  const request = requestApart(need);
  const placement = fleet.place(request);
  if ('refused' in placement) return { refused: `on several machines: ${refusalInWords(fleet.explain(request))}` };
  const groups = byGroup(need);
  const parts: Part[] = [];
  for (const nodeId of new Set(placement.workers.map(worker => worker.nodeId))) {
    const machine = able.find(offer => offer.nodeId === nodeId);
    const here = placement.workers.filter(worker => worker.nodeId === nodeId);
    const wants = here.flatMap(({ group, ordinal }) => groups.get(group)?.[ordinal] ?? []);
    if (!machine || wants.length !== here.length) throw new Error('a fleet placed what was not asked for');
    // Which devices, and how much memory, is said as for a cluster on one machine.
    const offer = need.requirements === undefined ? machine : restricted(machine, need.requirements);
    const part = placeTogether(wants, need.rayVersion, [offer]);
    if ('refused' in part) return { refused: `on several machines: ${part.refused}` };
    parts.push(part);
  }
  return { parts };
}

/** As many as fit, one by one, rather where the cluster is already; with the reason why the first other one does not. */
export function placeMore(
  need: Apart,
  machines: Offers,
  isMember: (machine: Offers[number]) => boolean,
): { parts: Part[]; refused: string | null } {
  // A cluster stays in the network that it is in.
  const home = machines.find(isMember);
  let left = machines.filter(machine => canJoin(machine) && (!home || machine.network === home.network));
  const parts: Part[] = [];
  let refused: string | null = null;
  for (const want of need.wants) {
    const one = { ...need, wants: [want] };
    const atHome = placeApart(one, left.filter(isMember));
    const found = 'refused' in atHome ? placeApart(one, left) : atHome;
    if ('refused' in found) {
      refused ??= `${want.key} finds no room ${found.refused}`;
      continue;
    }
    for (const part of found.parts) {
      parts.push(part);
      left = left.map(machine => (machine.nodeId === part.nodeId ? withPart(machine, want, part) : machine));
    }
  }
  return { parts, refused };
}

/** What a cluster that may go holds of one machine. */
export interface Spare {
  clusterId: ClusterId;
  nodeId: NodeId;
  use: Use;
  idleSince: number;
}

/**
 * The clusters to release, the longest idle first and none in vain, so that all of the wants find room on several machines;
 * null when they would not even if all were released. `machines` show what is taken by all, the spare ones included.
 */
export function makeRoomApart(need: Apart, machines: Offers, spare: readonly Spare[]): ClusterId[] | null {
  const fits = (gone: readonly ClusterId[]) => {
    const freed = machines.map(machine =>
      without(
        machine,
        spare.filter(({ clusterId }) => gone.includes(clusterId)),
      ),
    );
    return !('refused' in placeApart(need, freed));
  };
  const order = [...spare].sort((one, other) => one.idleSince - other.idleSince).map(({ clusterId }) => clusterId);
  const longestIdle = [...new Set(order)];
  let count = 0;
  while (count <= longestIdle.length && !fits(longestIdle.slice(0, count))) count += 1;
  if (count > longestIdle.length) return null;
  let chosen = longestIdle.slice(0, count);
  for (const id of [...chosen].reverse()) {
    const fewer = chosen.filter(other => other !== id);
    if (fits(fewer)) chosen = fewer;
  }
  return chosen;
}

function without(machine: Offers[number], gone: readonly Spare[]): Offers[number] {
  const here = gone.filter(({ nodeId }) => nodeId === machine.nodeId).map(({ use }) => use);
  const devices = new Set(here.flatMap(use => use.devices));
  return {
    ...machine,
    used: {
      cpus: here.reduce((left, use) => left - use.cpus, machine.used.cpus),
      memoryBytes: here.reduce((left, use) => left - use.memoryBytes, machine.used.memoryBytes),
      devices: machine.used.devices.filter(index => !devices.has(index)),
    },
  };
}

function withPart(machine: Offers[number], want: Want, { assignments }: Part): Offers[number] {
  return {
    ...machine,
    used: {
      cpus: machine.used.cpus + want.cpus,
      memoryBytes: machine.used.memoryBytes + assignments.reduce((sum, one) => sum + one.memoryBytes, 0),
      devices: [...machine.used.devices, ...assignments.flatMap(one => one.deviceIndices)],
    },
  };
}

function unable(machines: Offers): string {
  const reasons = new Map<string, number>();
  for (const { mesh } of machines) reasons.set(mesh.reason, (reasons.get(mesh.reason) ?? 0) + 1);
  const said = [...reasons].map(([reason, count]) => `${count} × ${reason || 'their agents do not say that they can'}`);
  return `on several machines: none can join a network with others (${said.join('; ') || 'no machine is online'})`;
}
