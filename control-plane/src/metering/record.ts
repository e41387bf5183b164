/** What is on record of leases, put together from all who know something of it. */
import { type ClusterId, heartbeatTimeoutMs, type LeaseId, type NodeId } from '@iocloud/contracts';
import { type Held, heldOf, type Patience, type Presence, type Span } from '../core/metering/index.js';
import type { Queryable } from '../platform/index.js';
import type { LeaseTimes, MeteredLease, MeteredLeases, MeteredMachine, MeteredMachines } from './ports.js';

/** As migration 0102 has them. */
const patience: Patience = { heardMs: heartbeatTimeoutMs, answeredMs: 60_000 };

export interface RecordPorts {
  leases: MeteredLeases;
  machines: MeteredMachines;
}

export interface LeaseOnRecord extends MeteredLease {
  held: Held;
  machine: MeteredMachine;
}

export async function leasesOnRecord(
  db: Queryable,
  { leases, machines }: RecordPorts,
  leaseIds: readonly LeaseId[],
): Promise<LeaseOnRecord[]> {
  const found = await leases.read(db, leaseIds);
  const clusterIds = [...new Set(found.map(lease => lease.clusterId))];
  const heads = await leases.heads(db, clusterIds);
  const answered = await leases.answered(db, clusterIds);
  const nodeIds = [...new Set([...found, ...heads].map(lease => lease.nodeId))];
  const known = await machines.read(db, nodeIds);
  const earliestMs = found.reduce((least, lease) => Math.min(least, lease.createdMs), Number.POSITIVE_INFINITY);
  const ids = [...new Set([...found, ...heads].map(lease => lease.id))];
  const interruptions = await interruptionsOf(db, [...ids, ...nodeIds, ...clusterIds], earliestMs);

  /** A head whose machine's accelerators are in doubt is a head all the same. */
  const presenceOf = (lease: LeaseTimes, isHead: boolean): Presence => ({
    readyMs: lease.readyMs,
    endMs: earliest(lease.exitedMs, lease.releasedMs, interruptions.endings.get(lease.id) ?? null),
    heardMs: machineOf(known, lease.nodeId).heardMs,
    interruptions: [lease.nodeId, lease.id].flatMap(id => interruptions.of(id, !isHead)),
  });
  const headsOf = new Map<ClusterId, Presence[]>(clusterIds.map(id => [id, []]));
  for (const head of heads) headsOf.get(head.clusterId)?.push(presenceOf(head, true));
  return found.map(lease => {
    const { createdMs, releasedMs, clusterId } = lease;
    const record = {
      ...presenceOf(lease, false),
      createdMs,
      releasedMs,
      heads: headsOf.get(clusterId) ?? [],
      answeredMs: answered.get(clusterId) ?? null,
      clusterInterruptions: interruptions.of(clusterId, true),
    };
    return { ...lease, held: heldOf(record, patience), machine: machineOf(known, lease.nodeId) };
  });
}

function machineOf(known: ReadonlyMap<NodeId, MeteredMachine>, nodeId: NodeId): MeteredMachine {
  const machine = known.get(nodeId);
  if (!machine) throw new Error(`a lease is on machine ${nodeId}, which is not on record`);
  return machine;
}

const earliest = (...times: (number | null)[]) =>
  times.reduce<number | null>(
    (least, time) => (least === null || (time !== null && time < least) ? time : least),
    null,
  );

interface Interruptions {
  of(subject: string, withDoubts: boolean): readonly Span[];
  /** When each lease was told to end. */
  endings: ReadonlyMap<string, number>;
}

/** An interruption that has ended is on record twice, without its end and with it: the row with the end counts. */
async function interruptionsOf(db: Queryable, subjects: string[], sinceMs: number): Promise<Interruptions> {
  const { rows } = await db.query<{ subject: string; reason: string; began_at: Date; ended_at: Date | null }>({
    name: 'interruptions',
    text: `SELECT subject, reason, began_at, min(ended_at) AS ended_at FROM usage_interruptions
           WHERE subject = ANY($1) GROUP BY subject, reason, began_at
           HAVING coalesce(min(ended_at) >= $2, true) ORDER BY subject, began_at`,
    values: [subjects, new Date(Number.isFinite(sinceMs) ? sinceMs : 0)],
  });
  const spans = new Map<string, (Span & { reason: string })[]>();
  const endings = new Map<string, number>();
  for (const { subject, reason, began_at, ended_at } of rows) {
    const fromMs = began_at.getTime();
    if (reason === 'ending') endings.set(subject, Math.min(fromMs, endings.get(subject) ?? fromMs));
    else spans.set(subject, [...(spans.get(subject) ?? []), { fromMs, untilMs: ended_at?.getTime() ?? null, reason }]);
  }
  const isDoubt = (reason: string) => reason.startsWith('unverified:');
  return {
    of: (subject, withDoubts) => (spans.get(subject) ?? []).filter(({ reason }) => withDoubts || !isDoubt(reason)),
    endings,
  };
}
