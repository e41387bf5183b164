/** Which idle clusters to release so that something fits that does not fit now. */
import type { ClusterId, NodeId } from '@iocloud/contracts';
import { type Offer, placeTogether, type Use, type Want } from './place.js';

/** What one cluster holds of one machine. */
export interface Occupant {
  clusterId: ClusterId;
  nodeId: NodeId;
  use: Use;
}

/** A cluster that may be released. `idleSince` in ms since the epoch: the one idle for longest goes first. */
export interface Candidate extends Occupant {
  idleSince: number;
}

/**
 * The clusters to release, as few as will do, and the machine that then has room: no clusters when the wants fit without
 * releasing any, null when they do not fit even if all were released. `machines` show what is taken by everything that
 * stays, the candidates included.
 */
export function makeRoom(
  wants: Want[],
  rayVersion: string,
  machines: Offer[],
  candidates: Candidate[],
): { nodeId: NodeId; clusterIds: ClusterId[] } | null {
  const fits = (machine: Offer, released: Candidate[]) =>
    !('refused' in placeTogether(wants, rayVersion, [without(machine, released)]));
  const choices = machines.flatMap(machine => {
    const here = candidates
      .filter(candidate => candidate.nodeId === machine.nodeId)
      .sort((a, b) => a.idleSince - b.idleSince || (a.clusterId < b.clusterId ? -1 : 1));
    let count = 0;
    while (count <= here.length && !fits(machine, here.slice(0, count))) count += 1;
    if (count > here.length) return [];
    let chosen = here.slice(0, count);
    // Of those taken on the way some may have been in vain: spare them, the most recently used first.
    for (const candidate of [...chosen].reverse()) {
      const fewer = chosen.filter(other => other !== candidate);
      if (fits(machine, fewer)) chosen = fewer;
    }
    return [{ nodeId: machine.nodeId, chosen }];
  });
  const oldest = (chosen: Candidate[]) => Math.max(...chosen.map(candidate => candidate.idleSince));
  const [best] = choices.sort(
    ({ chosen: a }, { chosen: b }) => a.length - b.length || (a.length > 0 ? oldest(a) - oldest(b) : 0),
  );
  return best ? { nodeId: best.nodeId, clusterIds: best.chosen.map(candidate => candidate.clusterId) } : null;
}

function without(machine: Offer, released: Candidate[]): Offer {
  const gone = released.filter(candidate => candidate.nodeId === machine.nodeId);
  const devices = new Set(gone.flatMap(candidate => candidate.use.devices));
  return {
    ...machine,
    used: {
      cpus: Math.max(0, machine.used.cpus - gone.reduce((total, { use }) => total + use.cpus, 0)),
      memoryBytes: Math.max(0, machine.used.memoryBytes - gone.reduce((total, { use }) => total + use.memoryBytes, 0)),
      devices: machine.used.devices.filter(index => !devices.has(index)),
    },
  };
}
