/** Keeps the machines of a provider in step with its nodes: they come, change, are cordoned, and go. */

import { isDeepStrictEqual } from 'node:util';
import type { UserId } from '@iocloud/contracts';
import {
  type Attended,
  type AttendedMachine,
  attendedMachines,
  enrolAttended,
  followCordon,
  type LeaseBook,
  removeAttended,
} from '../../inventory/index.js';
import type { Database } from '../../platform/index.js';
import type { ProviderRow } from '../store.js';
import { type Offered, offeredBy } from './machines.js';
import type { AnyPod } from './objects.js';
import type { Session } from './session.js';

export interface SyncWiring {
  database: Database;
  machines: Attended;
  leaseBook: LeaseBook;
  random(n: number): Uint8Array;
  rayVersion: string;
}

export interface Machine extends AttendedMachine {
  offered: Offered;
}

/** The machines as they are now. Those that are ready have been heard. */
export async function syncMachines(wiring: SyncWiring, row: ProviderRow, session: Session): Promise<Machine[]> {
  const { database } = wiring;
  const foreign = foreignByNode(session);
  const known = new Map((await attendedMachines(database, row.id)).map(machine => [machine.uid, machine]));
  const offers = new Map(
    session.nodes.map(node => [
      node.metadata.uid,
      { node: node.metadata.name, offered: offeredBy(node, foreign.get(node.metadata.name) ?? [], wiring.rayVersion) },
    ]),
  );
  const gone = [...known.values()].filter(machine => !machine.isRemoved && !offers.has(machine.uid));
  if (gone.length > 0) {
    const ids = gone.map(({ id }) => id);
    await database.transaction(tx => removeAttended(tx, wiring.leaseBook, ids, 'its node has gone from Kubernetes'));
  }
  const machines: Machine[] = [];
  for (const [uid, { node, offered }] of offers) {
    const machine = known.get(uid) ?? (await enrol(wiring, row, uid, node, offered));
    if (machine && !machine.isRemoved) machines.push({ ...machine, offered });
  }
  await follow(wiring, row, machines);
  return machines;
}

/** A node that is kept from our pods, or that has never been ready, is no machine yet. */
async function enrol(
  { database, random }: SyncWiring,
  row: ProviderRow,
  uid: string,
  node: string,
  offered: Offered,
): Promise<AttendedMachine | null> {
  if (offered.isKeptFromUs || !offered.isReady) return null;
  const name = `${row.name}-${node}`;
  const machine = {
    ...{ tenantId: row.tenant_id, providerId: row.id, name, node, uid, shared: row.shared },
    terms: { ...row.terms, ...offered.terms },
  };
  const id = await database.transaction(tx => enrolAttended(tx, machine, random));
  if (id === null) return null;
  return {
    id,
    name,
    node,
    uid,
    inventory: null,
    online: false,
    scheduling: 'active',
    drainReason: null,
    isRemoved: false,
  };
}

async function follow({ database, machines: attended, leaseBook }: SyncWiring, row: ProviderRow, machines: Machine[]) {
  const ready = machines.filter(({ offered }) => offered.isReady);
  const news = ready.filter(one => !one.online || !isDeepStrictEqual(one.inventory, one.offered.inventory));
  if (news.length > 0) {
    await attended.arrived(news.map(({ id, offered }) => ({ nodeId: id, inventory: offered.inventory })));
  }
  await attended.heard(ready.map(({ id }) => id));
  const caller = { tenantId: row.tenant_id, userId: `provider ${row.name}` as UserId };
  for (const machine of machines) {
    const { cordon } = machine.offered;
    if (cordon === null && machine.scheduling === 'active') continue;
    if (cordon !== null && machine.scheduling !== 'active') continue;
    await database.transaction(tx => followCordon(tx, leaseBook, caller, machine, cordon));
  }
}

/** Pods that are not ours and hold something of a node. */
function foreignByNode(session: Session): Map<string, AnyPod[]> {
  const byNode = new Map<string, AnyPod[]>();
  for (const pod of session.pods) {
    const node = pod.spec?.nodeName;
    const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (node === undefined || isOver || session.isOurs(pod)) continue;
    const here = byNode.get(node);
    if (here) here.push(pod);
    else byNode.set(node, [pod]);
  }
  return byNode;
}
