import {
  type AttemptId,
  type ClusterId,
  type JobId,
  type NodeId,
  nodeTerms,
  type Scheduling,
  scheduling,
  type TenantId,
} from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { empty, type Use } from '../matching/index.js';
import { type Amounts, add, type Needs, nothing, reservation, shortage } from './amounts.js';
import type { JobCluster } from './cluster-draft.js';
import type { JobMachine } from './job-ground.js';
import {
  demandOf,
  type JobDecision,
  type JobMemory,
  JobQueue,
  type JobScene,
  type OtherWork,
  type QueuedJob,
  type RunningJob,
} from './job-queue.js';

const t1 = 't1' as TenantId;
const hourMs = 3_600_000;
const nowMs = 1_000 * hourMs;
const rayVersion = '2.60.0';

type Wish = Partial<Omit<QueuedJob, 'needs' | 'scheduling'>> &
  Partial<Pick<Needs, 'cpus' | 'gpus' | 'requirements' | 'labelSelector'>> & { how?: Partial<Scheduling> };

function job(
  id: string,
  { cpus = 1, gpus = 0, requirements, labelSelector = {}, how = {}, ...rest }: Wish = {},
): QueuedJob {
  const needs = { cpus, gpus, memoryBytes: 0, resources: {}, labelSelector, ...(requirements ? { requirements } : {}) };
  return {
    id: id as JobId,
    tenantId: t1,
    needs,
    wantedCluster: null,
    scheduling: scheduling.parse(how),
    submittedAtMs: nowMs,
    node: { key: 'head/0', cpus: cpus ?? 1, gpus: Math.ceil(gpus) },
    spentMicroUsd: 0,
    memory: null,
    ...rest,
  };
}

const cluster = (
  id: string,
  { cpus = 4, gpus = 0, ...rest }: Partial<JobCluster> & { cpus?: number; gpus?: number } = {},
) =>
  ({
    id: id as ClusterId,
    tenantId: t1,
    name: `name-${id}`,
    origin: 'job',
    phase: 'ready',
    capacity: { cpus, gpus, memoryBytes: 2 ** 40, resources: {} },
    saturated: false,
    nodeLabels: [{}],
    waitingFor: 'its head is starting',
    ...rest,
  }) satisfies JobCluster;

const others = (clusterId: string, cpus: number, jobs = 1): OtherWork => ({
  tenantId: t1,
  clusterId: clusterId as ClusterId,
  reserved: { ...nothing, cpus },
  jobs,
});

const running = (id: string, clusterId: string, cpus: number, more: Partial<RunningJob> = {}): RunningJob => ({
  id: id as JobId,
  attemptId: `attempt of ${id}` as AttemptId,
  tenantId: t1,
  clusterId: clusterId as ClusterId,
  scheduling: scheduling.parse({ preemptible: true }),
  submittedAtMs: nowMs - hourMs,
  startedAtMs: nowMs - hourMs,
  reserved: { ...nothing, cpus },
  microUsdPerHour: 0,
  spentMicroUsd: 0,
  stopAtMs: null,
  stop: null,
  ...more,
});

const machine = (
  id: string,
  { cpus = 8, used = empty, gpuPrice = 0, ...more }: Partial<JobMachine> & { gpuPrice?: number } = {},
) =>
  ({
    nodeId: id as NodeId,
    ownerId: t1,
    shared: true,
    schedulable: true,
    name: id,
    terms: nodeTerms.parse({ microUsdPerGpuHour: gpuPrice, microUsdPerCpuHour: gpuPrice }),
    reputation: 1,
    cpus,
    memoryBytes: 2 ** 40,
    devices: [],
    rayVersions: [rayVersion],
    used,
    occupants: [],
    ...more,
  }) satisfies JobMachine;

const scene = (more: Partial<JobScene>): JobScene => ({
  queued: [],
  running: [],
  others: [],
  clusters: [],
  machines: [],
  tenants: [],
  capacity: demandOf({ cpus: 100, gpus: 8, memoryBytes: 2 ** 40 }),
  ...more,
});
const decide = (more: Partial<JobScene>, atMs = nowMs) =>
  new JobQueue(scene(more), { maxJobsPerCluster: 4, rayVersion }).decide(atMs).decisions;
const of = (decisions: JobDecision[], id: string) => decisions.find(({ jobId }) => jobId === id);

/** As it comes back from the database. */
const memoryOf = (decisions: JobDecision[], id: string): JobMemory | null => {
  const decision = of(decisions, id);
  return decision?.kind === 'wait' ? JSON.parse(JSON.stringify(decision.memory)) : null;
};

const anyScene = fc
  .tuple(
    fc.array(
      fc.record({
        tenant: fc.constantFrom('t1', 't2'),
        cpus: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }),
        gpus: fc.integer({ min: 0, max: 2 }),
        wanted: fc.option(fc.constantFrom('c0', 'c1', 'name-c2', 'nowhere'), { nil: null }),
        priority: fc.constantFrom('low', 'normal', 'high', 'urgent'),
        expected: fc.option(fc.integer({ min: 1, max: 9_000 }), { nil: null }),
      }),
      { maxLength: 24 },
    ),
    fc.array(
      fc.record({
        tenant: fc.constantFrom('t1', 't2'),
        cpus: fc.integer({ min: 0, max: 8 }),
        gpus: fc.integer({ min: 0, max: 2 }),
        held: fc.array(fc.record({ cpus: fc.integer({ min: 0, max: 3 }), preemptible: fc.boolean() }), {
          maxLength: 4,
        }),
        origin: fc.constantFrom<'user' | 'job'>('user', 'job'),
        phase: fc.constantFrom<JobCluster['phase']>('pending', 'provisioning', 'ready'),
      }),
      { maxLength: 5 },
    ),
    fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
  )
  .map(([jobs, clusters, machines]): JobScene => {
    const made = clusters.map((one, index) => cluster(`c${index}`, { ...one, tenantId: one.tenant as TenantId }));
    return scene({
      queued: jobs.map(({ tenant, cpus, gpus, wanted, priority, expected }, index) =>
        job(`j${String(index).padStart(2, '0')}`, {
          tenantId: tenant as TenantId,
          cpus,
          gpus,
          wantedCluster: wanted,
          how: { priority: priority as Scheduling['priority'], expectedSeconds: expected },
        }),
      ),
      clusters: made,
      running: clusters.flatMap(({ held, tenant }, index) =>
        held.map(({ cpus, preemptible }, slot) =>
          running(`r${index}.${slot}`, `c${index}`, cpus, {
            tenantId: tenant as TenantId,
            scheduling: scheduling.parse({ priority: 'low', preemptible }),
          }),
        ),
      ),
      machines: machines.map((cpus, index) => machine(`m${index}`, { cpus })),
    });
  });
const all = (one: JobScene, atMs = nowMs) =>
  new JobQueue(one, { maxJobsPerCluster: 4, rayVersion }).decide(atMs).decisions;

describe('a run of the scheduler', () => {
  test('decides once about each job that waits', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const about = all(one).filter(({ kind }) => kind !== 'evict');
        expect(about.map(({ jobId }) => jobId).sort()).toEqual(one.queued.map(({ id }) => id).sort());
      }),
    );
  });

  test('never overfills a cluster, leaves its tenant, its wish, or what is ready', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const held = new Map<ClusterId, { reserved: Amounts; jobs: number }>();
        const hold = (id: ClusterId, amounts: Amounts) => {
          const { reserved, jobs } = held.get(id) ?? { reserved: nothing, jobs: 0 };
          held.set(id, { reserved: add(reserved, amounts), jobs: jobs + 1 });
          return { reserved: add(reserved, amounts), jobs: jobs + 1 };
        };
        for (const { clusterId, reserved } of one.running) hold(clusterId, reserved);
        for (const decision of all(one)) {
          if (decision.kind !== 'assign') continue;
          const chosen = one.clusters.find(({ id }) => id === decision.clusterId) as JobCluster;
          const asking = one.queued.find(({ id }) => id === decision.jobId) as QueuedJob;
          expect(chosen.phase).toBe('ready');
          expect(chosen.tenantId).toBe(asking.tenantId);
          if (asking.wantedCluster) expect([chosen.id, chosen.name]).toContain(asking.wantedCluster);
          expect(decision.reserve).toEqual(reservation(asking.needs, chosen.capacity));
          const now = hold(chosen.id, decision.reserve);
          expect(shortage(now.reserved, chosen.capacity)).toBeNull();
          expect(now.jobs).toBeLessThanOrEqual(4);
        }
      }),
    );
  });

  test('is the same whatever the order of what it is shown', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const turned = {
          ...one,
          queued: [...one.queued].reverse(),
          clusters: [...one.clusters].reverse(),
          running: [...one.running].reverse(),
        };
        const sorted = (decisions: JobDecision[]) => decisions.map(decision => JSON.stringify({ ...decision })).sort();
        expect(sorted(all(turned))).toEqual(sorted(all(one)));
      }),
    );
  });

  test('lets no job take the room that one before it of like needs waits for', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const decisions = new Map(all(one).map(decision => [decision.jobId, decision]));
        for (const waits of one.queued.filter(({ id }) => decisions.get(id)?.kind === 'wait')) {
          const overtakers = one.queued.filter(
            other =>
              decisions.get(other.id)?.kind === 'assign' &&
              other.tenantId === waits.tenantId &&
              other.wantedCluster === waits.wantedCluster &&
              JSON.stringify([other.needs, other.scheduling]) === JSON.stringify([waits.needs, waits.scheduling]) &&
              other.id > waits.id,
          );
          expect(overtakers).toEqual([]);
        }
      }),
    );
  });

  test('stops only what may be stopped, for what is urgent, and nothing twice', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const stopped = all(one).filter(decision => decision.kind === 'evict');
        expect(new Set(stopped.map(({ jobId }) => jobId)).size).toBe(stopped.length);
        for (const { jobId, stop } of stopped) {
          expect(one.running.find(({ id }) => id === jobId)?.scheduling.preemptible).toBe(true);
          expect(one.queued.find(({ id }) => id === stop.forId)?.scheduling.priority).toBe('urgent');
        }
      }),
    );
  });

  test('has no more stopped by a run that comes before those who were told have ended', () => {
    fc.assert(
      fc.property(anyScene, one => {
        const first = all(one);
        const stops = new Map(
          first.flatMap(decision => (decision.kind === 'evict' ? [[decision.jobId, decision.stop] as const] : [])),
        );
        const started = first.flatMap(decision =>
          decision.kind === 'assign' ? [others(decision.clusterId, decision.reserve.cpus)] : [],
        );
        // GPUs of what has started are not in this trial's running work: only scenes without any are looked at again.
        fc.pre(one.queued.every(({ needs }) => needs.gpus === 0) && started.every(({ reserved }) => reserved.cpus > 0));
        const gone = new Set(first.filter(({ kind }) => kind === 'assign').map(({ jobId }) => jobId));
        const next = {
          ...one,
          queued: one.queued
            .filter(({ id }) => !gone.has(id))
            .map(each => ({ ...each, memory: memoryOf(first, each.id) })),
          running: one.running.map(each => ({ ...each, stop: stops.get(each.id) ?? null })),
          others: started.map((each, index) => ({
            ...each,
            tenantId: one.clusters.find(({ id }) => id === each.clusterId)?.tenantId ?? t1,
            jobs: 1,
            reserved: { ...each.reserved, memoryBytes: index * 0 },
          })),
        };
        const again = all(next, nowMs + 1_000).filter(decision => decision.kind === 'evict');
        const beneficiaries = new Set([...stops.values()].map(({ forId }) => forId));
        expect(again.filter(({ stop }) => beneficiaries.has(stop.forId))).toEqual([]);
      }),
    );
  });
});

describe('where a job goes', () => {
  test('the fullest cluster that has room is taken', () => {
    const decisions = decide({ queued: [job('j')], clusters: [cluster('a'), cluster('b')], others: [others('b', 2)] });
    expect(decisions).toMatchObject([{ kind: 'assign', clusterId: 'b' }]);
  });

  test('a cluster that its own load has filled is taken only where no other has room', () => {
    const filled = cluster('a', { cpus: 2, saturated: true });
    const b = cluster('b', { cpus: 8 });
    expect(decide({ queued: [job('j')], clusters: [filled, b] })).toMatchObject([{ clusterId: 'b' }]);
    expect(decide({ queued: [job('j')], clusters: [filled] })).toMatchObject([{ clusterId: 'a' }]);
    expect(decide({ queued: [job('j')], clusters: [filled, b], others: [others('b', 8)] })).toMatchObject([
      { clusterId: 'a' },
    ]);
  });

  test('a job that names a cluster goes there for what that can grow to, and no other', () => {
    const growing = cluster('a', { cpus: 1, growsTo: { cpus: 5, gpus: 0, memoryBytes: 2 ** 40, resources: {} } });
    const named = (id: string, cpus: number) => job(id, { cpus, wantedCluster: 'a' });
    const decisions = decide({
      queued: [named('j', 4), job('k', { cpus: 4 }), named('l', 1), named('m', 2), named('n', 6)],
      clusters: [growing],
      machines: [machine('small', { cpus: 2 })],
    });
    expect(of(decisions, 'j')).toMatchObject({ kind: 'assign', reserve: { cpus: 4 } });
    expect(of(decisions, 'k')).toMatchObject({ kind: 'wait', message: expect.stringContaining('4 CPUs are wanted') });
    expect(of(decisions, 'l')).toMatchObject({ kind: 'assign' });
    expect(of(decisions, 'm')).toMatchObject({ kind: 'wait', message: expect.stringContaining('7 CPUs of 5') });
    expect(of(decisions, 'n')).toMatchObject({ message: expect.stringContaining('can never run this job') });
  });

  test('a job without room gets a cluster of its own brought up, where a machine has room', () => {
    const full = { clusters: [cluster('a')], others: [others('a', 4)] };
    expect(decide({ ...full, queued: [job('j')], machines: [machine('m')] })).toMatchObject([
      { kind: 'provision', jobId: 'j' },
    ]);
    expect(decide({ ...full, queued: [job('j', { cpus: 9 })], machines: [machine('m')] })).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('No machine can carry this job') },
    ]);
    const use = { ...empty, cpus: 8 };
    const foreigner = {
      clusterId: 'z' as ClusterId,
      tenantId: 't2' as TenantId,
      use,
      ending: false,
      spareSinceMs: 0,
      onlyForUrgent: false,
    };
    const busy = machine('m', { used: use, occupants: [foreigner] });
    expect(decide({ ...full, queued: [job('j')], machines: [busy] })).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('Waiting for a machine') },
    ]);
    const foreign = machine('m', { ownerId: 't2' as TenantId, shared: false });
    expect(decide({ ...full, queued: [job('j')], machines: [foreign] })).toMatchObject([{ kind: 'wait' }]);
  });

  test('machines are asked for only where it comes to them', () => {
    const asks = (queued: QueuedJob[]) =>
      new JobQueue(scene({ queued, clusters: [cluster('a')], machines: null }), {
        maxJobsPerCluster: 4,
        rayVersion,
      }).decide(nowMs).asksForMachines;
    expect(asks([job('j')])).toBe(false);
    expect(asks([job('j'), job('k', { cpus: 8 })])).toBe(true);
  });

  test('small jobs share the one cluster that is brought up first; each that wants accelerators gets its own', () => {
    const machines = [machine('m', { cpus: 64, devices: devices(2) })];
    const small = decide({ queued: [job('j'), job('k')], machines });
    expect(small.map(({ kind }) => kind)).toEqual(['provision', 'wait']);
    const large = decide({ queued: [job('j', { gpus: 1 }), job('k', { gpus: 1 }), job('l', { gpus: 1 })], machines });
    expect(large.map(({ kind }) => kind)).toEqual(['provision', 'provision', 'wait']);
  });

  test('a job that a cluster on its way can carry waits for that one', () => {
    expect(decide({ queued: [job('j')], clusters: [cluster('a', { phase: 'provisioning' })] })).toMatchObject([
      { kind: 'wait', message: 'Waiting for cluster name-a: its head is starting.' },
    ]);
  });

  test('a job with requirements waits for the cluster that was asked for to meet them, also before that has a machine', () => {
    const requirements = { countries: ['DE'] };
    const asked = cluster('a', { phase: 'pending', requirements });
    const queued = [job('j', { requirements })];
    expect(decide({ queued, clusters: [asked], machines: [machine('m')] })).toMatchObject([
      { kind: 'wait', message: 'Waiting for cluster name-a: its head is starting.' },
    ]);
  });

  test("a user's own cluster without machines is not waited for by jobs that did not name it", () => {
    const pending = cluster('a', { phase: 'pending', origin: 'user' });
    expect(decide({ queued: [job('j')], clusters: [pending], machines: [machine('m')] })).toMatchObject([
      { kind: 'provision' },
    ]);
  });

  test('a large job at the front is not starved by small ones behind it', () => {
    const queued = [job('a-large', { cpus: 4 }), job('b-small')];
    const decisions = decide({ queued, clusters: [cluster('c')], others: [others('c', 1)] });
    expect(decisions.map(({ kind }) => kind)).not.toContain('assign');
  });

  test('a small job goes beside a waiting large one if it will have ended before that can start', () => {
    const queued = (seconds: number) => [
      job('a-large', { cpus: 4 }),
      job('b-small', { how: { expectedSeconds: seconds } }),
    ];
    const ends = running('r', 'c', 2, { scheduling: scheduling.parse({ expectedSeconds: 3_600 + 600 }) });
    const world = { clusters: [cluster('c')], running: [ends] };
    expect(of(decide({ ...world, queued: queued(500) }), 'b-small')).toMatchObject({ kind: 'assign' });
    expect(of(decide({ ...world, queued: queued(700) }), 'b-small')).toMatchObject({ kind: 'wait' });
  });

  test('a named cluster that can never carry the job says so', () => {
    expect(
      decide({ queued: [job('j', { cpus: 9, wantedCluster: 'name-a' })], clusters: [cluster('a')] }),
    ).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('can never run this job: it asks for 9 CPUs of 4') },
    ]);
  });

  test('a job that names a cluster of another tenant finds none', () => {
    const foreign = cluster('a', { tenantId: 't2' as TenantId });
    expect(decide({ queued: [job('j', { wantedCluster: 'a' })], clusters: [foreign] })).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('no cluster of that name or id') },
    ]);
  });

  test('labels decide', () => {
    const labelled = cluster('b', { nodeLabels: [{ zone: 'north' }] });
    const picky = job('j', { labelSelector: { zone: 'in(north, south)' } });
    expect(decide({ queued: [picky], clusters: [cluster('a'), labelled] })).toMatchObject([{ clusterId: 'b' }]);
  });
});

const devices = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    index,
    vendor: 'nvidia' as const,
    model: 'NVIDIA A100-SXM4-80GB',
    memoryBytes: 80 * 2 ** 30,
    uuid: `GPU-${index}`,
    simulated: false,
  }));

describe('who goes first, and who stops for whom', () => {
  const urgent = { priority: 'urgent' as const };

  test('an urgent job has preemptible ones of lower classes stopped, none in vain, and keeps their place', () => {
    // It has done the least work that would be lost.
    const young = running('r3', 'c', 2, { startedAtMs: nowMs - 1_000 });
    const world = {
      clusters: [cluster('c')],
      running: [running('r1', 'c', 1), running('r2', 'c', 1), young],
    };
    const queued = [job('u', { cpus: 2, how: urgent }), job('v')];
    const first = decide({ ...world, queued });
    const stopped = first.filter(decision => decision.kind === 'evict');
    expect(stopped.map(({ jobId }) => jobId)).toEqual(['r3']);
    expect(stopped[0]?.stop).toMatchObject({ why: 'preempted', forId: 'u' });
    // The next run finds what was told to stop, stops nobody else, and gives its place to nobody else.
    const stop = stopped[0]?.stop ?? null;
    const told = [running('r1', 'c', 1), running('r2', 'c', 1), { ...young, stop }];
    expect(decide({ ...world, running: told, queued }).map(({ kind }) => kind)).toEqual(['wait', 'wait']);
    const freed = decide({ ...world, running: told.slice(0, 2), queued });
    expect(of(freed, 'u')).toMatchObject({ kind: 'assign', clusterId: 'c' });
    expect(of(freed, 'v')).toMatchObject({ kind: 'wait' });
  });

  test('what was cleared for an urgent job goes to no other, whoever stands before it', () => {
    const clusters = [cluster('c')];
    const old = job('old', { cpus: 4, submittedAtMs: nowMs - 100 * hourMs });
    const urgentJob = job('u', { cpus: 4, how: urgent });
    const first = decide({ clusters, running: [running('r', 'c', 4)], queued: [urgentJob] });
    expect(of(first, 'r')).toMatchObject({ kind: 'evict' });
    const remembers = { ...urgentJob, memory: memoryOf(first, 'u') };
    const next = decide({ clusters, queued: [old, remembers] });
    expect(of(next, 'u')).toMatchObject({ kind: 'assign' });
    expect(of(next, 'old')).toMatchObject({ kind: 'wait' });
    // Without the memory the older one would have it.
    expect(of(decide({ clusters, queued: [old, urgentJob] }), 'old')).toMatchObject({ kind: 'assign' });
  });

  test('what was cleared for an urgent job waits behind no older one of its kind that has come back since', () => {
    const clusters = [cluster('c')];
    const urgentJob = job('u', { cpus: 4, how: urgent });
    const first = decide({ clusters, running: [running('r', 'c', 4)], queued: [urgentJob] });
    const remembers = { ...urgentJob, memory: memoryOf(first, 'u') };
    const back = job('back', { cpus: 4, how: urgent, submittedAtMs: nowMs - hourMs });
    const next = decide({ clusters, queued: [back, remembers] });
    expect(of(next, 'u')).toMatchObject({ kind: 'assign' });
    expect(of(next, 'back')).toMatchObject({ kind: 'wait' });
  });

  test('what is not preemptible, or as urgent, is never stopped', () => {
    const stays = [
      running('r1', 'c', 2, { scheduling: scheduling.parse({}) }),
      running('r2', 'c', 2, { scheduling: scheduling.parse({ preemptible: true, priority: 'urgent' }) }),
    ];
    const decisions = decide({ queued: [job('u', { how: urgent })], clusters: [cluster('c')], running: stays });
    expect(decisions.map(({ kind }) => kind)).toEqual(['wait']);
  });

  test("an urgent job has another tenant's preemptible job stopped where its machine is shared, then its cluster goes", () => {
    const t2 = 't2' as TenantId;
    const use: Use = { cpus: 8, memoryBytes: 2 ** 30, devices: [] };
    const occupant = {
      clusterId: 'c' as ClusterId,
      tenantId: t2,
      use,
      ending: false,
      spareSinceMs: 0,
      onlyForUrgent: false,
    };
    const world = {
      clusters: [cluster('c', { tenantId: t2, cpus: 8 })],
      machines: [machine('m', { used: use, occupants: [occupant] })],
    };
    const victim = running('r', 'c', 8, { tenantId: t2 });
    const queued = [job('u', { cpus: 2, how: urgent })];
    expect(decide({ ...world, queued, running: [victim] })).toMatchObject([
      { kind: 'evict', jobId: 'r', stop: { forId: 'u' } },
      { kind: 'wait', jobId: 'u' },
    ]);
    expect(decide({ ...world, queued, running: [] })).toMatchObject([
      { kind: 'provision', jobId: 'u', preempts: true },
    ]);
    // What is not urgent takes no other tenant's cluster, idle or not.
    expect(decide({ ...world, queued: [job('n', { cpus: 2 })], running: [] })).toMatchObject([{ kind: 'wait' }]);
  });

  test('of two tenants the one with the smaller share goes first on a machine that both want', () => {
    const t2 = 't2' as TenantId;
    const queued = [job('a', { cpus: 8 }), job('b', { cpus: 8, tenantId: t2 })];
    const rich = { ...others('c', 50), clusterId: 'c' as ClusterId };
    const decisions = decide({
      queued,
      machines: [machine('m')],
      others: [rich],
      clusters: [cluster('c', { cpus: 50 })],
    });
    expect(of(decisions, 'b')).toMatchObject({ kind: 'provision' });
    expect(of(decisions, 'a')).toMatchObject({ kind: 'wait' });
  });

  test('a quota holds a tenant back, and what it could never have is said', () => {
    const tenants = [
      { tenantId: t1, weight: 1, quota: { 'cpu-thousandths': 2_000 }, cohort: null, borrowingLimit: {} },
    ];
    const queued = [job('a', { cpus: 1 }), job('b', { cpus: 2 }), job('c', { cpus: 3 })];
    const decisions = decide({ queued, tenants, clusters: [cluster('c', { cpus: 32 })] });
    expect(of(decisions, 'a')).toMatchObject({ kind: 'assign' });
    expect(of(decisions, 'b')).toMatchObject({ kind: 'wait', message: expect.stringContaining("tenant's own work") });
    expect(of(decisions, 'c')).toMatchObject({ kind: 'wait', message: expect.stringContaining('It can never run') });
  });

  test('preemptible work borrows in its cohort, and is stopped when the owner wants back what it lent', () => {
    const t2 = 't2' as TenantId;
    const terms = { weight: 1, quota: { 'cpu-thousandths': 4_000 }, cohort: 'lab', borrowingLimit: {} };
    const tenants = [
      { tenantId: t1, ...terms },
      { tenantId: t2, ...terms },
    ];
    const clusters = [cluster('c', { cpus: 32 }), cluster('d', { cpus: 32, tenantId: t2 })];
    const queued = [job('borrows', { cpus: 6, how: { preemptible: true } }), job('rigid', { cpus: 6 })];
    const decisions = decide({ queued, tenants, clusters });
    expect(of(decisions, 'borrows')).toMatchObject({ kind: 'assign' });
    expect(of(decisions, 'rigid')).toMatchObject({ message: expect.stringContaining('It can never run') });
    const back = decide({
      tenants,
      clusters,
      queued: [job('owner', { cpus: 4, tenantId: t2 })],
      running: [running('borrower', 'c', 6)],
    });
    expect(of(back, 'borrower')).toMatchObject({ kind: 'evict', stop: { why: 'reclaimed', forId: 'owner' } });
    // Once the borrower has stopped it waits at its old place, before the owner, and may not borrow again first.
    const owner = job('owner', { cpus: 4, tenantId: t2, memory: memoryOf(back, 'owner') });
    const borrower = job('borrower', { cpus: 6, how: { preemptible: true }, submittedAtMs: nowMs - hourMs });
    const after = decide({ tenants, clusters, queued: [borrower, owner] });
    expect(of(after, 'owner')).toMatchObject({ kind: 'assign' });
    expect(of(after, 'borrower')).toMatchObject({ kind: 'wait' });
  });
});

describe('money', () => {
  const ground = (price: number) => ({
    ...({
      nodeId: 'm' as NodeId,
      ownerId: t1,
      shared: true,
      supplierId: 's',
      domain: 'd',
      country: 'DE',
      region: '',
    } as const),
    ...({
      latitudeDeg: null,
      longitudeDeg: null,
      cpus: 4,
      memoryBytes: 2 ** 40,
      pools: [],
      interconnect: 'none',
    } as const),
    ...({ network: 'ethernet', connectivity: 'low', compliance: [], rayVersions: [rayVersion] } as const),
    ...{ microUsdPerGpuHour: 0, microUsdPerCpuHour: price, reputation: 1, stake: 0, load: 0, schedulable: true },
    compliance: [],
    rayVersions: [rayVersion],
    pools: [],
  });

  test('a job waits for a cheap window until its deadline forces it', () => {
    const how = {
      cheapMicroUsdPerHour: 500_000,
      deadline: new Date(nowMs + 2 * hourMs).toISOString(),
      expectedSeconds: 3_600,
    };
    const at = (price: number, atMs = nowMs) =>
      decide({ queued: [job('j', { how })], clusters: [cluster('c', { ground: ground(price) })] }, atMs);
    expect(at(600_000)).toMatchObject([{ kind: 'wait', message: expect.stringContaining('cheap window') }]);
    expect(at(500_000)).toMatchObject([{ kind: 'assign', microUsdPerHour: 500_000 }]);
    expect(at(600_000, nowMs + hourMs)).toMatchObject([{ kind: 'assign', microUsdPerHour: 600_000 }]);
  });

  test('what others are being stopped for keeps their place, also where only a dearer one is free until they go', () => {
    const [cheap, dear] = [cluster('c', { ground: ground(100_000) }), cluster('d', { ground: ground(9_000_000) })];
    const urgentJob = job('u', {
      cpus: 4,
      how: { priority: 'urgent', budgetMicroUsd: 1_000_000, expectedSeconds: 3_600 },
    });
    const victim = running('r', 'c', 4);
    const first = decide({ clusters: [cheap], running: [victim], queued: [urgentJob] });
    const remembers = { ...urgentJob, memory: memoryOf(first, 'u') };
    const evicted = first.find(decision => decision.kind === 'evict');
    const told = { ...victim, stop: evicted?.stop ?? null };
    const next = decide({ clusters: [cheap, dear], running: [told], queued: [remembers] });
    expect(of(next, 'u')).toMatchObject({ kind: 'wait' });
    expect(memoryOf(next, 'u')).toEqual(remembers.memory);
    expect(memoryOf(next, 'u')?.cleared).not.toBeNull();
  });

  test('a budget has its job told to stop in time, counts what earlier attempts cost, and starts nothing it cannot pay', () => {
    const clusters = [cluster('c', { ground: ground(1_000_000) })];
    const how = { budgetMicroUsd: 1_000_000 };
    const fresh = decide({ queued: [job('j', { how })], clusters });
    expect(fresh).toMatchObject([{ kind: 'assign', stopAtMs: nowMs + hourMs - 30_000 }]);
    const half = decide({ queued: [job('j', { how, spentMicroUsd: 500_000 })], clusters });
    expect(half).toMatchObject([{ kind: 'assign', stopAtMs: nowMs + hourMs / 2 - 30_000 }]);
    const spent = decide({ queued: [job('j', { how, spentMicroUsd: 999_000 })], clusters });
    expect(spent).toMatchObject([{ kind: 'wait', message: expect.stringContaining('could pass its budget') }]);
    const ends = running('r', 'c', 1, {
      scheduling: scheduling.parse(how),
      stopAtMs: nowMs,
      microUsdPerHour: 1_000_000,
    });
    expect(decide({ clusters, running: [ends] })).toMatchObject([{ kind: 'evict', stop: { why: 'budget' } }]);
    expect(decide({ clusters, running: [{ ...ends, stopAtMs: nowMs + 1 }] })).toEqual([]);
  });
});
