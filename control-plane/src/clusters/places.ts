import type { ClusterSpec } from '@iocloud/contracts';
import type { Want } from '../core/matching/index.js';
import { headGroup, type Place, placeKey } from './facts.js';

/** Every Ray node that a spec asks for: the head first, workers by group and ordinal. */
export function placesOf(spec: ClusterSpec): Place[] {
  const head: Place = { role: 'head', group: headGroup, ordinal: 0, needs: spec.head };
  const workers = spec.workerGroups.flatMap(group =>
    Array.from(
      { length: group.count },
      (_, ordinal): Place => ({ role: 'worker', group: group.name, ordinal, needs: group }),
    ),
  );
  return [head, ...workers];
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
