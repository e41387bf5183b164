/**
 * (e) 50,000 queued workloads over 1,000 tenant queues with quotas, borrowing and three priorities: admissions a second,
 * each durable in PostgreSQL. Peer: the best published figure of a Kubernetes queue (42 a second, with its API server), and
 * in the same run what this PostgreSQL does with the same transactions when nothing is decided.
 */
import { mkdtemp } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '@iocloud/cli';
import {
  DevicePools,
  defaultQueueTerms,
  OrderedHeap,
  type PoolPlacement,
  type PoolRequest,
  Queue,
  type Workload,
} from '@iocloud/control-plane/core/queueing';
import pg from 'pg';
import { type Change, type End, enqueue, prepare, write } from './admissions-schema.js';
import { percentile, report } from './measure.js';

const workloads = 50_000;
const tenants = 1_000;
const tenantsInCohort = 20;
const quotaGpus = 16;
const machines = 2_000;
const admissionsInStep = 500;
const publishedPerSecond = 42;
const minuteMs = 60_000;

const tenantIds = Array.from({ length: tenants }, (_, index) => `tenant-${String(index).padStart(4, '0')}`);
const classes = ['low', 'normal', 'high'] as const;
/** Few alike follow each other: sizes, classes and lengths come round at lengths that have no divisor in common. */
const sizes = [1, 2, 1, 4, 1, 8, 2];

function workload(prefix: string, index: number): Workload<PoolRequest> {
  const devices = sizes[index % sizes.length] ?? 1;
  const request = { kind: `kind-${index % 4}`, workers: 1, devicesEach: devices };
  return {
    id: `${prefix}-${index}`,
    // Half of the work is a tenth of the tenants', so that they borrow what the others leave.
    tenantId: tenantIds[index % 2 === 0 ? (index * 7) % (tenants / 10) : (index * 13) % tenants] ?? '',
    priorityClass: classes[index % 3] ?? 'low',
    submittedAtMs: index,
    request,
    shape: `${request.kind} ${devices}`,
    demand: { gpus: devices },
    preemptible: index % 5 !== 0,
    expectedDurationMs: (5 + (index % 11)) * minuteMs,
    deadlineMs: null,
    cheapWindow: null,
    budgetMicroUsd: null,
  };
}

function queueOf(all: Workload<PoolRequest>[]): Queue<PoolRequest, PoolPlacement> {
  const ground = new DevicePools();
  for (let index = 0; index < machines; index += 1) {
    ground.add({
      machineId: `machine-${index}`,
      kind: `kind-${index % 4}`,
      devices: 8,
      microUsdPerDeviceHour: 1_000_000,
    });
  }
  const queue = new Queue(ground, defaultQueueTerms);
  for (const [index, tenantId] of tenantIds.entries()) {
    const cohort = `cohort-${index % (tenants / tenantsInCohort)}`;
    queue.setTenant({
      tenantId,
      weight: 1,
      quota: { gpus: quotaGpus },
      cohort,
      borrowingLimit: { gpus: 4 * quotaGpus },
    });
  }
  queue.setCapacity({ gpus: machines * 8 });
  for (const each of all) {
    const refused = queue.submit(each);
    if (refused) throw new Error(`${each.id}: ${refused.refused}`);
  }
  return queue;
}

interface Ending {
  atMs: number;
  change: End;
}

/** Admits everything, in virtual time: when nothing more fits, time goes on to the next ends. */
async function drain(client: pg.Client, all: Workload<PoolRequest>[]) {
  const byId = new Map(all.map(each => [each.id, each]));
  const queue = queueOf(all);
  const running = new OrderedHeap<Ending>((one, other) =>
    one.atMs === other.atMs ? one.change.jobId < other.change.jobId : one.atMs < other.atMs,
  );
  const endings = new Map<string, Ending>();
  const stepsMs: number[] = [];
  const batches: { admitted: Change[]; ended: End[] }[] = [];
  const counts = { admissions: 0, readmissions: 0, borrowed: 0, reclaims: 0, decidingMs: 0, writingMs: 0 };
  let nowMs = workloads;
  let ended: End[] = [];
  const cpuFrom = process.cpuUsage();
  const started = performance.now();
  while (queue.size > 0 || ended.length > 0) {
    const decidingFrom = performance.now();
    const { decisions, settled } = queue.decide(nowMs, { maxAdmissions: admissionsInStep });
    const admitted: Change[] = [];
    for (const decision of decisions) {
      const one = byId.get(decision.id);
      if (!one) throw new Error(`a decision about ${decision.id}`);
      if (decision.kind === 'admit') {
        const change = { jobId: one.id, tenantId: one.tenantId, attempt: decision.admission };
        const ending = { atMs: nowMs + (one.expectedDurationMs ?? 0), change: { ...change, preempted: false } };
        endings.set(one.id, ending);
        running.add(ending);
        admitted.push(change);
        if (decision.borrows) counts.borrowed += 1;
        if (decision.admission > 1) counts.readmissions += 1;
      } else if (decision.kind === 'stop') {
        // It takes a second to write its checkpoint, and is then as good as ended for the tables.
        const ending = endings.get(decision.id);
        if (!ending) throw new Error(`${decision.id} is told to stop and does not run`);
        running.remove(ending);
        running.add({ atMs: nowMs + 1_000, change: { ...ending.change, preempted: true } });
        counts.reclaims += 1;
      }
    }
    const decidedAt = performance.now();
    stepsMs.push(decidedAt - decidingFrom);
    counts.decidingMs += decidedAt - decidingFrom;
    if (admitted.length + ended.length > 0) {
      await write(client, admitted, ended);
      batches.push({ admitted, ended });
    }
    counts.writingMs += performance.now() - decidedAt;
    counts.admissions += admitted.length;
    ended = [];
    if (!settled) continue;
    const next = running.first();
    if (!next) break;
    nowMs = next.atMs;
    for (let due: Ending | undefined = next; due && due.atMs <= nowMs; due = running.first()) {
      running.remove(due);
      ended.push(due.change);
      if (due.change.preempted) queue.freed(due.change.jobId, nowMs);
      else queue.finished(due.change.jobId, nowMs);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  if (queue.size > 0) throw new Error(`${queue.size} workloads were never admitted`);
  const cpu = process.cpuUsage(cpuFrom);
  return { seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6, counts, stepsMs, batches };
}

const dataDir = await mkdtemp(join(tmpdir(), 'iocloud-admissions-'));
const server = await startPostgres({ dataDir });
const client = new pg.Client({ connectionString: server.url });
try {
  await client.connect();
  await prepare(client, tenantIds);
  const mine = Array.from({ length: workloads }, (_, index) => workload('job', index));
  await enqueue(client, mine);
  const peers = mine.map(({ id, tenantId }) => ({ id: `peer-${id}`, tenantId }));
  await enqueue(client, peers);
  await client.query('ANALYZE');
  const ours = await drain(client, mine);
  const { rows } = await client.query(
    `SELECT count(*)::int AS attempts, count(DISTINCT job_id)::int AS jobs FROM job_attempts WHERE outcome = 'succeeded'`,
  );
  if (rows[0]?.jobs !== workloads)
    throw new Error(`only ${rows[0]?.jobs} of ${workloads} jobs are in PostgreSQL as ended`);

  // The same transactions again, of the same sizes in the same order, with no queue before them.
  const asPeer = <C extends Change>(changes: C[]) =>
    changes.map(change => ({ ...change, jobId: `peer-${change.jobId}` }));
  const bare = ours.batches.map(({ admitted, ended }) => ({ admitted: asPeer(admitted), ended: asPeer(ended) }));
  await client.query('ANALYZE');
  const bareFrom = performance.now();
  for (const { admitted, ended } of bare) await write(client, admitted, ended);
  const bareSeconds = (performance.now() - bareFrom) / 1000;

  const oursPerSecond = ours.counts.admissions / ours.seconds;
  const postgresPerSecond = ours.counts.admissions / bareSeconds;
  report('admissions', {
    peer: 'best published figure of a Kubernetes queue, with its API server',
    workloads,
    tenants,
    cohorts: tenants / tenantsInCohort,
    oursPerSecond,
    peerPerSecond: publishedPerSecond,
    ratio: oursPerSecond / publishedPerSecond,
    aim: '>= 800 a second',
    postgresAlonePerSecond: postgresPerSecond,
    ofPostgresAlone: oursPerSecond / postgresPerSecond,
    ...ours.counts,
    seconds: ours.seconds,
    // Of this process alone, PostgreSQL's not counted: on a busy machine it says more than the clock.
    cpuSeconds: ours.cpuSeconds,
    loadAverage: loadavg()[0],
    transactions: ours.batches.length,
    step: {
      p50Ms: percentile(ours.stepsMs, 50),
      p99Ms: percentile(ours.stepsMs, 99),
      maxMs: Math.max(...ours.stepsMs),
    },
  });
} finally {
  await client.end().catch(() => undefined);
  await server.stop();
}
