/**
 * Brings the RayClusters of a provider to what its machines shall run, and says of each lease what its pod says. A lease is
 * run by one pod, whose uid is on record before anybody hears that it starts. It has ended when the kubelet says so of that
 * pod, or when the API server itself, asked by name, has it no more; and its place is free when nothing of it is left.
 */
import type { LeaseId, LeaseObservation, LeaseSpec } from '@iocloud/contracts';
import { ApiError, isPassing, type Pod, type RayCluster, resources } from '@iocloud/ray-operator';
import { leaseFacts } from '../../clusters/index.js';
import type { Attended } from '../../inventory/index.js';
import type { Database, Logger } from '../../platform/index.js';
import { type LeasePod, leasePods, noteEnd, notePod, type ProviderRow } from '../store.js';
import { acceleratorResources } from './machines.js';
import { fieldManager, marks } from './objects.js';
import { seenOf } from './observation.js';
import {
  clusterName,
  companions,
  type Placed,
  type Settings,
  type WantedCluster,
  wantedCluster,
} from './ray-cluster.js';
import { callTimeoutMs, type Session } from './session.js';
import type { Machine } from './sync-machines.js';

interface Wiring {
  database: Database;
  machines: Attended;
  log: Logger;
  nowMs(): number;
}

interface Held {
  machine: Machine;
  revision: number;
  leases: LeaseSpec[];
}

export async function runLeases(
  wiring: Wiring,
  row: ProviderRow,
  session: Session,
  machines: Machine[],
): Promise<void> {
  const { database } = wiring;
  // What shall run is read before what there is: what is said of it is about this revision or a later one.
  const held = await Promise.all(
    machines.map(async (machine): Promise<Held> => ({ machine, ...(await wiring.machines.desired(machine.id)) })),
  );
  const ending = await wiring.machines.ending(machines.map(({ id }) => id));
  const desired = held.flatMap(({ machine, leases }) => leases.map(lease => placedOn(machine, lease)));
  const ids = [...desired.map(({ lease }) => lease.leaseId), ...ending.map(({ leaseId }) => leaseId)];
  const records = await leasePods(database, ids);
  const pods = podsByLease(session);
  const seen = new Map<LeaseId, Observed>();
  const ready = new Set(machines.filter(({ offered }) => offered.isReady).map(({ id }) => id));
  for (const { lease, target } of desired) {
    const isNodeReady = ready.has(target.nodeId);
    seen.set(lease.leaseId, await observe(wiring, row, session, { lease, isNodeReady }, records, pods));
  }
  const wanted = await wantedClusters(wiring, row, desired, seen);
  await bringTo(wiring, row, session, wanted);
  for (const { machine, revision, leases } of held) {
    const observations = leases.flatMap(({ leaseId }) => {
      const observed = seen.get(leaseId);
      return observed ? [{ leaseId, ...observed, rayNodeId: null }] : [];
    });
    const leaving = ending.filter(({ nodeId }) => nodeId === machine.id);
    for (const { leaseId } of leaving) {
      if (leases.some(lease => lease.leaseId === leaseId)) continue;
      const record = records.get(leaseId);
      const mayRun = record?.pod && record.ended === null && !ready.has(machine.id);
      const left = (await leftOf(session, leaseId, pods.get(leaseId) ?? [])) ?? (mayRun ? onSilentNode : null);
      if (left) observations.push({ leaseId, ...left, rayNodeId: null });
    }
    await wiring.machines.observed(machine.id, revision, observations);
  }
}

type Observed = Omit<LeaseObservation, 'leaseId' | 'rayNodeId'>;

const onSilentNode: Observed = { phase: 'starting', message: 'its pod is gone, but its node is silent and may run it' };

function placedOn(machine: Machine, lease: LeaseSpec): Placed {
  const device = machine.inventory?.devices.find(({ index }) => lease.deviceIndices.includes(index));
  const [acceleratorResource = 'nvidia.com/gpu'] =
    Object.entries(acceleratorResources).find(([, vendor]) => vendor === device?.vendor) ?? [];
  return { lease, target: { nodeId: machine.id, node: machine.node, acceleratorResource } };
}

function podsByLease(session: Session): Map<string, Pod[]> {
  const byLease = new Map<string, Pod[]>();
  for (const pod of session.pods) {
    const leaseId = pod.metadata.labels?.[marks.lease];
    if (leaseId === undefined || !session.isOurs(pod)) continue;
    byLease.set(leaseId, [...(byLease.get(leaseId) ?? []), pod]);
  }
  return byLease;
}

async function observe(
  { database, nowMs }: Wiring,
  row: ProviderRow,
  session: Session,
  { lease: { leaseId, role }, isNodeReady }: { lease: LeaseSpec; isNodeReady: boolean },
  records: Map<LeaseId, LeasePod>,
  pods: Map<string, Pod[]>,
): Promise<Observed> {
  const cluster = session.clusters.find(({ metadata }) => metadata.labels?.[marks.lease] === leaseId);
  const at = {
    nowMs: nowMs(),
    sinceMs: Date.parse(cluster?.metadata.creationTimestamp ?? '') || nowMs(),
    trouble: role === 'head' && cluster ? troubleOfCluster(cluster) : '',
  };
  for (let tries = 0; tries < 4; tries += 1) {
    const seen = seenOf(records.get(leaseId), pods.get(leaseId) ?? [], at);
    if (seen.kind === 'is') return seen.observation;
    if (seen.kind === 'found') {
      await notePod(database, row.id, leaseId, seen.pod);
    } else if (seen.kind === 'missing') {
      const now = await session.podNow(seen.pod.name);
      // It has come, and this process will soon see it, too.
      if (now?.metadata.uid === seen.pod.uid) return { phase: 'starting', message: '' };
      // Removed by force, as the operator does with pods that a dead node never lets go of: the node may still run it.
      if (!isNodeReady) return onSilentNode;
      await noteEnd(database, row.id, leaseId, `its pod ${seen.pod.name} is gone`);
    } else await noteEnd(database, row.id, leaseId, seen.why);
    for (const [id, record] of await leasePods(database, [leaseId])) records.set(id, record);
  }
  throw new Error(`lease ${leaseId} is seen in another way each time`);
}

function troubleOfCluster({ status }: RayCluster): string {
  const failing = (status?.conditions ?? []).find(
    ({ type, status: so }) => (type === 'ReplicaFailure' && so === 'True') || (type === 'SpecValid' && so === 'False'),
  );
  return failing ? `${failing.reason}: ${failing.message}` : '';
}

/** A cluster is there as long as its head runs; what has ended of its workers is left out. */
async function wantedClusters(
  { database }: Wiring,
  row: ProviderRow,
  desired: Placed[],
  seen: Map<LeaseId, Observed>,
): Promise<WantedCluster[]> {
  const running = desired.filter(({ lease }) => seen.get(lease.leaseId)?.phase !== 'exited');
  const heads = running.filter(({ lease }) => lease.role === 'head');
  const facts = await leaseFacts(
    database,
    heads.map(({ lease }) => lease.leaseId),
  );
  const settings = settingsOf(row);
  return heads.flatMap(head => {
    const tenantId = facts.get(head.lease.leaseId)?.tenantId;
    const isOf = ({ lease }: Placed) => lease.role === 'worker' && lease.clusterId === head.lease.clusterId;
    return tenantId === undefined ? [] : [wantedCluster(head, running.filter(isOf), tenantId, settings)];
  });
}

const settingsOf = ({ id, namespace, image }: ProviderRow): Settings => ({ providerId: id, namespace, image });

async function bringTo(wiring: Wiring, row: ProviderRow, session: Session, wanted: WantedCluster[]): Promise<void> {
  const existing = new Map(session.clusters.map(cluster => [cluster.metadata.name, cluster]));
  for (const one of wanted) {
    const found = existing.get(one.name);
    if (found?.metadata.deletionTimestamp !== undefined) continue;
    const isAsWanted = found?.metadata.annotations?.[marks.applied] === one.hash;
    const isComplete = found?.metadata.annotations?.[companionsMark] === 'true';
    if (!isAsWanted || !isComplete) await apply(wiring, row, session, one);
  }
  const names = new Set(wanted.map(({ name }) => name));
  for (const cluster of existing.values()) {
    if (names.has(cluster.metadata.name) || cluster.metadata.deletionTimestamp !== undefined) continue;
    await session.client
      .delete(resources.rayClusters, cluster, AbortSignal.timeout(callTimeoutMs))
      .catch(error => ignore(error, [404, 409]));
  }
}

/** An annotation: its token and its network policy were made after it. */
const companionsMark = 'io.iocloud/complete';

async function apply(wiring: Wiring, row: ProviderRow, session: Session, wanted: WantedCluster): Promise<void> {
  const settings = settingsOf(row);
  const signal = () => AbortSignal.timeout(callTimeoutMs);
  const { client } = session;
  try {
    const made = await client.apply<RayCluster>(resources.rayClusters, wanted.rayCluster, fieldManager, '', signal());
    for (const [resource, manifest] of companions(wanted, made.metadata.uid, settings)) {
      await client.apply(resource, manifest, fieldManager, '', signal());
    }
    const { metadata } = wanted.rayCluster;
    const annotations = { ...metadata.annotations, [companionsMark]: 'true' };
    const complete = { ...wanted.rayCluster, metadata: { ...metadata, annotations } };
    await client.apply(resources.rayClusters, complete, fieldManager, '', signal());
    wiring.log.info({ providerId: row.id, rayCluster: wanted.name }, 'a RayCluster was applied');
  } catch (error) {
    if (!(error instanceof ApiError) || isPassing(error)) throw error;
    // The same would be refused again.
    const why = `the API server refuses it: ${error.message}`.slice(0, 1_000);
    await noteEnd(wiring.database, row.id, wanted.head.leaseId, why);
  }
}

function ignore(error: unknown, statuses: number[]): void {
  if (!(error instanceof ApiError) || !statuses.includes(error.status)) throw error;
}

/** What there still is of a lease that shall not run any more; null: nothing, as the API server itself says. */
async function leftOf(session: Session, leaseId: LeaseId, pods: Pod[]): Promise<Observed | null> {
  const going: Observed = { phase: 'starting', message: 'its pod is being deleted' };
  if (pods.length > 0) return going;
  if (await session.clusterNow(clusterName(leaseId))) return going;
  return (await session.podsNow(leaseId)).length > 0 ? going : null;
}
