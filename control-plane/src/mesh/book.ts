/** Who belongs to which network, and what each is told of the others. */
import { createHmac } from 'node:crypto';
import {
  type ClusterId,
  type ClusterNetwork,
  type MeshNetwork,
  meshBlock,
  type NodeId,
  type RelayDuty,
} from '@iocloud/contracts';
import type { Machines } from '../inventory/ports.js';
import type { Database, Logger, Queryable, Transaction } from '../platform/index.js';
import { candidates, hostOf } from './candidates.js';
import { Hub } from './hub.js';
import type { MeshBook } from './ports.js';
import * as store from './store.js';

interface Wiring {
  database: Database;
  machines: Pick<Machines, 'changeDesired' | 'openStream'>;
  /** Makes the tokens by which members register with relays. */
  secret: Uint8Array;
  log: Logger;
}

export interface MeshDomain extends MeshBook {
  stop(): void;
}

export function createMesh({ database, machines, secret, log }: Wiring): MeshDomain {
  const hub = new Hub(machines, log);
  const tokenOf = ({ cluster_id, node_id, slot }: Pick<store.MemberRow, 'cluster_id' | 'node_id' | 'slot'>) =>
    createHmac('sha256', secret).update(`mesh relay\n${cluster_id}\n${node_id}\n${slot}`).digest('hex').slice(0, 32);

  /** All whom a change of these clusters' networks concerns. */
  const concerned = async (tx: Transaction, clusterIds: ClusterId[]): Promise<Set<NodeId>> => {
    const members = await store.membersOf(tx, clusterIds);
    const helpers = await store.helpersOf(tx, clusterIds);
    return new Set([...members, ...helpers.values()].map(({ node_id }) => node_id));
  };

  const hold: MeshBook['hold'] = async (tx, clusterId, seats) => {
    await store.lockMembers(tx);
    const before = new Map((await store.membersOf(tx, [clusterId])).map(row => [row.node_id, row.slot]));
    const left = [...before.keys()].filter(nodeId => !seats.has(nodeId));
    const joined = [...seats].filter(([nodeId]) => !before.has(nodeId));
    if (left.length === 0 && joined.length === 0) return [];
    const told = await concerned(tx, [clusterId]);
    if (left.length > 0) await store.leave(tx, clusterId, left);
    for (const [nodeId, slot] of joined) await store.join(tx, clusterId, nodeId, slot);
    if (seats.size > 0) await store.chooseHelper(tx, clusterId);
    for (const nodeId of await concerned(tx, [clusterId])) told.add(nodeId);
    if (seats.size === 0) await store.forget(tx, clusterId);
    return [...told];
  };

  const desired: MeshBook['desired'] = async nodeId => {
    const parts = (await store.partsOf(database, nodeId)) ?? [];
    const clusterIds = parts.flatMap(({ cluster_id }) => (cluster_id === null ? [] : [cluster_id]));
    const { relay_address: relayAddress = null, able = false } = parts[0] ?? {};
    return {
      networks: clusterIds.length === 0 ? [] : await partsOf(nodeId, clusterIds),
      relay: relayAddress === null || !able ? null : await dutyOf(nodeId, portOf(relayAddress)),
    };
  };

  const partsOf = async (nodeId: NodeId, clusterIds: ClusterId[]): Promise<MeshNetwork[]> => {
    const members = await store.membersOf(database, clusterIds);
    const helpers = await store.helpersOf(database, clusterIds);
    return members.flatMap(own => {
      if (own.node_id !== nodeId) return [];
      const helper = helpers.get(own.cluster_id);
      return {
        clusterId: own.cluster_id,
        slot: own.slot,
        relayToken: tokenOf(own),
        helper: helper ? helperOf(helper) : null,
        peers: members.flatMap(other => {
          if (other.cluster_id !== own.cluster_id || other.node_id === nodeId || other.public_key === null) return [];
          const endpoints = candidates(whereabouts(own), whereabouts(other, helper?.node_id));
          return { slot: other.slot, publicKey: other.public_key, endpoints };
        }),
      };
    });
  };

  const dutyOf = async (nodeId: NodeId, port: number): Promise<RelayDuty> => ({
    port,
    members: (await store.helpedBy(database, nodeId)).flatMap(member =>
      member.public_key === null
        ? []
        : { clusterId: member.cluster_id, slot: member.slot, token: tokenOf(member), publicKey: member.public_key },
    ),
  });

  const tellConcerned = async (tx: Transaction, clusterIds: Set<ClusterId>): Promise<void> => {
    if (clusterIds.size === 0) return;
    for (const id of [...(await concerned(tx, [...clusterIds]))].sort()) await machines.changeDesired(tx, id);
  };

  /** One transaction for each kind of row that is locked: none ever waits for one that waits for it. */
  const reported: MeshBook['reported'] = async (nodeId, report, remoteAddress) => {
    const plain = remoteAddress?.replace(/^::ffff:/, '') ?? null;
    const changed = new Set<ClusterId>();
    if (await store.recordObserver(database, nodeId, report.observerKey)) {
      for (const { cluster_id } of await store.helpedBy(database, nodeId)) changed.add(cluster_id);
    }
    // Most machines have nothing to say.
    if (changed.size + report.networks.length + report.seen.length === 0) return;
    await database.transaction(async tx => {
      await store.lockMembers(tx);
      for (const network of report.networks) {
        if (await store.recordMember(tx, nodeId, network, plain)) changed.add(network.clusterId);
      }
      for (const { publicKey, endpoint } of report.seen) {
        const clusterId = await store.recordObserved(tx, nodeId, publicKey, endpoint);
        if (clusterId) changed.add(clusterId);
      }
      await tellConcerned(tx, changed);
    });
    for (const { clusterId, wantsStream, paths } of report.networks) {
      if (!wantsStream && paths.every(({ path }) => path !== 'none')) continue;
      await database.transaction(async tx => {
        if (await store.chooseHelper(tx, clusterId)) await tellConcerned(tx, new Set([clusterId]));
      });
    }
    for (const { clusterId, wantsStream } of report.networks) {
      const members = hub.knows(clusterId) || wantsStream ? await store.membersOf(database, [clusterId]) : [];
      hub.wish(clusterId, nodeId, wantsStream, members);
    }
  };

  return {
    hold,
    desired,
    reported,
    seats: async (db, clusterId) => ({
      byNode: new Map((await store.membersOf(db, [clusterId])).map(row => [row.node_id, row.slot])),
      highest: await store.highestSlot(db, clusterId),
    }),
    stop: () => hub.stop(),
  };
}

/** For show; absent: all of the cluster is on one machine. */
export async function networksOf(db: Queryable, clusterIds: ClusterId[]): Promise<Map<ClusterId, ClusterNetwork>> {
  const byCluster = new Map<ClusterId, store.MemberRow[]>();
  for (const row of await store.membersOf(db, clusterIds)) {
    if (row.is_attended) continue;
    byCluster.set(row.cluster_id, [...(byCluster.get(row.cluster_id) ?? []), row]);
  }
  return new Map([...byCluster].map(([id, members]) => [id, shownOf(members)]));
}

function shownOf(members: store.MemberRow[]): ClusterNetwork {
  const bySlot = new Map(members.map(row => [row.slot, row.node_id]));
  return {
    members: members.map(({ node_id: nodeId, slot, paths }) => ({
      nodeId,
      addresses: meshBlock(slot),
      paths: paths.flatMap(({ slot: to, path }) => {
        const other = bySlot.get(to);
        return other === undefined ? [] : [{ nodeId: other, path }];
      }),
    })),
  };
}

const portOf = (endpoint: string) => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));

function helperOf({ relay_address: relay, observer_key: publicKey }: store.HelperRow): MeshNetwork['helper'] {
  const endpoint = `${hostOf(relay)}:${portOf(relay) + 1}`;
  return { relay, observer: publicKey === null ? null : { publicKey, endpoint } };
}

/** The helper's word comes first: it is public, and sees what everybody else would. */
function whereabouts(row: store.MemberRow, helper?: NodeId) {
  const seen = Object.entries(row.observed).sort(([one], [other]) => Number(other === helper) - Number(one === helper));
  return {
    endpoints: row.endpoints,
    listenPort: row.listen_port,
    remoteAddress: row.remote_address,
    observed: seen.map(([, endpoint]) => endpoint),
  };
}
