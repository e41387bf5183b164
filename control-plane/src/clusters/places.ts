import { addressesPerSlot, type ClusterSpec, type LeaseId, type LeasePhase, meshAddress } from '@iocloud/contracts';
import type { Want } from '../core/matching/index.js';
import { headGroup, type Place, placeKey, type Retries } from './facts.js';

/** A lease as far as it says which places of a group are taken. */
export interface Standing {
  id: LeaseId;
  group: string;
  ordinal: number;
  phase: LeasePhase;
  desired: boolean;
}

/** What stands already, and what failed there. */
interface Ground {
  leases: Standing[];
  retries: Retries;
  /** Leases that Ray calls idle: they go before others where there are too many. */
  idle: ReadonlySet<LeaseId>;
}
const nothingStands: Ground = { leases: [], retries: {}, idle: new Set() };

/**
 * Every Ray node that a spec asks for: the head first, workers by group and ordinal. A group's places are those of its
 * leases, whichever ordinals these have, so that any of them can go; what is missing gets the lowest free ordinals.
 */
export function placesOf(spec: ClusterSpec, ground: Ground = nothingStands): Place[] {
  const head: Place = { role: 'head', group: headGroup, ordinal: 0, needs: spec.head };
  const workers = spec.workerGroups.flatMap(group =>
    ordinalsOf(group, ground).map((ordinal): Place => ({ role: 'worker', group: group.name, ordinal, needs: group })),
  );
  return [head, ...workers];
}

function ordinalsOf({ name, count }: ClusterSpec['workerGroups'][number], { leases, retries, idle }: Ground): number[] {
  // What is ready stays before what is starting, that before what has ended, and what is busy before what is idle.
  const rank = ({ id, phase }: Standing) =>
    phase === 'ready' ? (idle.has(id) ? 1 : 0) : phase === 'exited' || phase === 'lost' ? 3 : 2;
  const ordinals = new Set(
    leases
      .filter(({ group, desired }) => group === name && desired)
      .sort((left, right) => rank(left) - rank(right) || left.ordinal - right.ordinal)
      .slice(0, count)
      .map(({ ordinal }) => ordinal),
  );
  // A place that failed is filled before others: its next start may have to wait.
  const failed = Object.keys(retries)
    .filter(key => key.startsWith(`${name}/`))
    .map(key => Number(key.slice(name.length + 1)));
  for (const ordinal of failed.sort((left, right) => left - right)) if (ordinals.size < count) ordinals.add(ordinal);
  for (let ordinal = 0; ordinals.size < count; ordinal += 1) ordinals.add(ordinal);
  return [...ordinals].sort((left, right) => left - right);
}

export const wantOf = (place: Place): Want => ({
  key: placeKey(place),
  cpus: place.needs.cpus,
  gpus: place.needs.gpus,
  memoryBytes: place.needs.memoryBytes,
  accelerator: place.needs.accelerator,
});

/** The n-th address of a cluster on a machine, from 127.0.0.2 (127.0.0.1 is rewritten by Ray); none ends in 0 or 255. */
function loopbackAddress(n: number): string {
  const perBlock = 254;
  const offset = n + 1; // 127.0.0.1 stays unused
  const high = Math.floor(offset / perBlock);
  return `127.0.${high}.${(offset % perBlock) + 1}`;
}

export const headIp = loopbackAddress(0);

/** The lowest addresses of a machine in the cluster's network that no live Ray node has; null when all are taken. */
export function freeMeshAddresses(taken: ReadonlySet<string>): (slot: number) => string | null {
  const given = new Set(taken);
  return slot => {
    for (let n = 1; n <= addressesPerSlot; n += 1) {
      const address = meshAddress(slot, n);
      if (given.has(address)) continue;
      given.add(address);
      return address;
    }
    return null;
  };
}

/** The lowest addresses that no live Ray node of the cluster has: the head's is always the first. */
export function freeAddresses(taken: ReadonlySet<string>): () => string {
  const given = new Set([...taken, headIp]);
  let n = 0;
  return () => {
    let address = loopbackAddress(n);
    while (given.has(address)) {
      n += 1;
      address = loopbackAddress(n);
    }
    given.add(address);
    return address;
  };
}
