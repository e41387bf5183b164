/**
 * The meter: closes each window of each lease once it is over and what belongs to it has had time to come in, the last
 * one as soon as the lease is released, and corrects by further lines what is known better later. All that a look does is
 * one transaction that holds the lease's row in `metering_leases`, so it may be killed anywhere and runs on any replica.
 */
import type { ClusterId, LeaseId } from '@iocloud/contracts';
import {
  type Amounts,
  acrossRuns,
  type Booked,
  type Counters,
  curveOf,
  heldUntil,
  linesFor,
  type Sample,
  usageOf,
  windowStart,
  windowsIn,
} from '../core/metering/index.js';
import type { Database, Transaction } from '../platform/index.js';
import { agentSamples, type RunSample, samplesOf } from './agent-samples.js';
import {
  bookedOf,
  insertLines,
  type Line,
  lockStandings,
  type Outcome,
  type Standing,
  toldOf,
  writeStandings,
} from './lines.js';
import type { OnUsage } from './ports.js';
import { type LeaseOnRecord, leasesOnRecord, type RecordPorts } from './record.js';

export interface MeterWiring extends RecordPorts {
  database: Database;
  windowSeconds: number;
  /** After the end of a window, in which what belongs to it may still come in. */
  graceSeconds: number;
  onUsage: OnUsage;
  /** Null: counters are read from where the endpoint has them, without a Prometheus. */
  prometheus: CounterSource | null;
}

export interface FoundCounters {
  series: string;
  samples: Record<keyof Counters, Sample[]>;
}
export interface CounterSource {
  /** As many are asked for in one look. */
  leasesAtOnce: number;
  /** Throws when it does not answer: what it would have said is then not known, which is not the same as nothing. */
  read(leases: readonly { leaseId: LeaseId; fromMs: number }[], untilMs: number): Promise<Map<LeaseId, FoundCounters>>;
}

/** Closed windows that are computed again with each that is closed. */
const lookBack = 3;
/** After its release a lease is looked at again, whole, when this has passed. Milliseconds. */
const laterLooksMs = [600_000, 86_400_000];

/** What of a lease is to be computed. */
interface Task {
  standing: Standing;
  lease: LeaseOnRecord;
  windowMs: number;
  starts: number[];
  /** Until which windows are over. */
  closableMs: number;
}

/**
 * One look at these leases; `ended`: for their release, without a Prometheus, which is asked later for how the time between
 * was spread. Returns the clusters of which something was written.
 */
export async function meter(
  wiring: MeterWiring,
  leaseIds: readonly LeaseId[],
  { ended }: { ended: boolean },
): Promise<ClusterId[]> {
  const { database, prometheus } = wiring;
  const asked = prometheus && !ended ? await askPrometheus(wiring, prometheus, leaseIds) : null;
  return database.transaction(async tx => {
    const standings = await lockStandings(tx, leaseIds, ended);
    const nowMs = await databaseTimeMs(tx);
    const ids = standings.map(({ leaseId }) => leaseId);
    const onRecord = new Map((await leasesOnRecord(tx, wiring, ids)).map(lease => [lease.id, lease]));
    const tasks = standings.flatMap(standing => {
      const lease = onRecord.get(standing.leaseId);
      return lease ? [taskOf(standing, lease, wiring, nowMs)] : [];
    });
    const due = tasks.filter(({ starts }) => starts.length > 0);
    const lines = await linesOf(tx, wiring, due, asked, nowMs, ended);
    const outcomes = tasks.map(task =>
      outcomeOf(task, wiring.graceSeconds * 1_000, nowMs, ended && prometheus !== null),
    );
    await writeStandings(tx, outcomes);
    const clusterOf = new Map(standings.map(({ leaseId, clusterId }) => [leaseId, clusterId]));
    const clusterIds = [...new Set(lines.flatMap(({ leaseId }) => clusterOf.get(leaseId) ?? []))].sort();
    if (clusterIds.length > 0) await wiring.onUsage(tx, clusterIds);
    // Last, and in the order in which all others take leases: a line holds the row of its lease until the end.
    await insertLines(tx, lines);
    return clusterIds;
  });
}

export async function databaseTimeMs(tx: Transaction | Database): Promise<number> {
  const { rows } = await tx.query<{ now: Date }>('SELECT now() AS now');
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now.getTime();
}

function taskOf(standing: Standing, lease: LeaseOnRecord, wiring: MeterWiring, nowMs: number): Task {
  const windowMs = standing.windowMs ?? wiring.windowSeconds * 1_000;
  const { createdMs, releasedMs } = lease;
  const overMs = windowStart(nowMs - wiring.graceSeconds * 1_000, windowMs);
  const closableMs = releasedMs ?? Math.max(overMs, standing.closedUntilMs ?? createdMs);
  const { closedUntilMs, allAgain } = standing;
  const fromMs = allAgain || closedUntilMs === null ? createdMs : closedUntilMs - lookBack * windowMs;
  // A release may be dated before the end of a window that was closed without knowing of it.
  const untilMs = Math.max(closableMs, closedUntilMs ?? closableMs);
  return { standing, lease, windowMs, closableMs, starts: windowsIn(Math.max(createdMs, fromMs), untilMs, windowMs) };
}

/** In the order of the leases. */
async function linesOf(
  tx: Transaction,
  wiring: MeterWiring,
  tasks: readonly Task[],
  asked: ReadonlyMap<LeaseId, FoundCounters> | null,
  nowMs: number,
  ended: boolean,
): Promise<Line[]> {
  if (tasks.length === 0) return [];
  const froms = tasks.map(({ standing, starts }) => ({ leaseId: standing.leaseId, fromMs: starts[0] ?? 0 }));
  const booked = await bookedOf(tx, froms);
  const told = await toldOf(
    tx,
    froms.map(({ leaseId }) => leaseId),
  );
  const ofAgents = await agentSamples(tx, froms);
  return tasks.flatMap(task => {
    const { leaseId } = task.standing;
    const found = asked?.get(leaseId);
    const counters = countersOf(task, ofAgents.get(leaseId) ?? [], found, nowMs);
    const { starts, windowMs, lease } = task;
    const known = usageOf(starts, windowMs, lease.deviceIndices.length, counters, told.get(leaseId) ?? []);
    const before = booked.get(leaseId) ?? new Map<number, Booked>();
    const wanted = ended && wiring.prometheus ? onlyTheRest(task, known, before) : known;
    return linesFor(wanted, before).map(line => ({
      ...line,
      leaseId,
      windowSeconds: windowMs / 1_000,
      evidence: evidenceOf(line.windowMs, task, counters, found),
    }));
  });
}

/** Of what a Prometheus had said nothing is said again without it: windows that have lines stay as they are. */
const onlyTheRest = (task: Task, known: ReadonlyMap<number, Amounts>, booked: ReadonlyMap<number, Booked>) =>
  new Map([...known].filter(([start]) => !booked.has(start) || start + task.windowMs > task.closableMs));

function countersOf(
  { lease, starts, windowMs, closableMs }: Task,
  ofAgent: readonly RunSample[],
  found: FoundCounters | undefined,
  nowMs: number,
): Counters {
  const life = { fromMs: lease.createdMs, untilMs: lease.releasedMs };
  // Of time the endpoint's own figures are on record for any moment: read at the ends of windows, or of the lease.
  const moments = starts.flatMap(start => [start, Math.min(start + windowMs, closableMs)]);
  const read = (kind: 'allocatedMs' | 'billableMs', atMs: number): Sample => ({
    atMs,
    value: heldUntil(lease.held, Math.min(atMs, lease.releasedMs ?? atMs))[kind],
  });
  const ofTime = (kind: 'allocatedMs' | 'billableMs') => {
    const last = lease.releasedMs === null ? [] : [read(kind, lease.releasedMs)];
    return curveOf(found ? [...found.samples[kind], ...last] : moments.map(atMs => read(kind, atMs)), life, nowMs);
  };
  const ofMachine = (kind: 'cpuMs' | 'mibSeconds' | 'egressBytes') =>
    curveOf(found ? found.samples[kind] : acrossRuns(samplesOf(ofAgent, kind)), life, nowMs);
  return {
    allocatedMs: ofTime('allocatedMs'),
    billableMs: ofTime('billableMs'),
    cpuMs: ofMachine('cpuMs'),
    mibSeconds: ofMachine('mibSeconds'),
    egressBytes: ofMachine('egressBytes'),
  };
}

/** The samples between which the window lies: for each counter the moment and the value. */
function evidenceOf(startMs: number, task: Task, counters: Counters, found: FoundCounters | undefined) {
  const endMs = Math.min(startMs + task.windowMs, task.closableMs);
  const sides = (curve: Counters['billableMs']) => {
    const from = [...curve].reverse().find(({ atMs }) => atMs <= startMs) ?? curve[0];
    const to = curve.find(({ atMs }) => atMs >= endMs) ?? curve.at(-1);
    return [from, to].flatMap(sample =>
      sample ? [{ at: new Date(sample.atMs).toISOString(), value: sample.value }] : [],
    );
  };
  return {
    source: found ? 'prometheus' : 'control-plane',
    ...(found ? { series: found.series } : {}),
    closedUntil: new Date(endMs).toISOString(),
    samples: { allocatedMs: sides(counters.allocatedMs), billableMs: sides(counters.billableMs) },
  };
}

function outcomeOf(
  { standing, lease, windowMs, closableMs }: Task,
  graceMs: number,
  nowMs: number,
  askLater: boolean,
): Outcome {
  const { leaseId } = standing;
  const { releasedMs } = lease;
  if (releasedMs === null) {
    const lookAtMs = windowStart(closableMs, windowMs) + windowMs + graceMs;
    return { leaseId, closedUntilMs: closableMs, windowMs, lookAtMs, allAgain: false };
  }
  const later = laterLooksMs.map(ms => releasedMs + ms).find(atMs => atMs > nowMs) ?? null;
  // Of what a Prometheus says of the last window, once it has had time to be asked; and at last all again.
  const lookAtMs = askLater ? nowMs + graceMs : later;
  return { leaseId, closedUntilMs: releasedMs, windowMs, lookAtMs, allAgain: lookAtMs !== null };
}

/** Before the leases are locked: an answer may take a while. */
async function askPrometheus(
  wiring: MeterWiring,
  prometheus: CounterSource,
  leaseIds: readonly LeaseId[],
): Promise<Map<LeaseId, FoundCounters>> {
  const { database } = wiring;
  const { rows } = await database.query<{ lease_id: LeaseId; from_at: Date }>(
    `SELECT m.lease_id, CASE WHEN m.all_again OR m.closed_until IS NULL THEN l.created_at
       ELSE greatest(l.created_at, m.closed_until - make_interval(secs => $2 * coalesce(m.window_seconds, $3))) END AS from_at
     FROM metering_leases m JOIN leases l ON l.id = m.lease_id WHERE m.lease_id = ANY($1)`,
    [leaseIds, lookBack + 1, wiring.windowSeconds],
  );
  const nowMs = await databaseTimeMs(database);
  return prometheus.read(
    rows.map(row => ({ leaseId: row.lease_id, fromMs: row.from_at.getTime() })),
    nowMs,
  );
}
