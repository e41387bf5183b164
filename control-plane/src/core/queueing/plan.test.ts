import type { ClusterId, JobId, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Amounts, add, nothing, reservation, shortage } from './amounts.js';
import { labelsFor, labelsMatch, parseLabelCondition } from './label-selector.js';
import { type Decision, type PlannedCluster, type PlanOptions, plan, type QueuedJob } from './plan.js';

const options = (more: Partial<PlanOptions> = {}): PlanOptions => ({
  maxJobsPerCluster: 4,
  refused: new Map(),
  ...more,
});
const job = (id: string, more: Partial<Omit<QueuedJob, 'needs'>> & { cpus?: number | null; gpus?: number } = {}) => {
  const { cpus = 1, gpus = 0, ...rest } = more;
  return {
    id: id as JobId,
    tenantId: 't1' as TenantId,
    needs: { cpus, gpus, memoryBytes: 0, resources: {}, labelSelector: {} },
    wantedCluster: null,
    ...rest,
  };
};
const cluster = (id: string, more: Partial<PlannedCluster> & { cpus?: number } = {}): PlannedCluster => {
  const { cpus = 4, ...rest } = more;
  return {
    id: id as ClusterId,
    tenantId: 't1' as TenantId,
    name: `name-${id}`,
    origin: 'job',
    phase: 'ready',
    capacity: { cpus, gpus: 0, memoryBytes: 2 ** 40, resources: {} },
    reserved: nothing,
    liveJobs: 0,
    saturated: false,
    nodeLabels: [{}],
    waitingFor: 'its head is starting',
    ...rest,
  };
};

const anyJobs = fc.array(
  fc.record({
    tenant: fc.constantFrom('t1', 't2'),
    cpus: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }),
    gpus: fc.integer({ min: 0, max: 2 }),
    wanted: fc.option(fc.constantFrom('c0', 'c1', 'name-c2', 'nowhere'), { nil: null }),
  }),
  { maxLength: 24 },
);
const anyClusters = fc.array(
  fc.record({
    tenant: fc.constantFrom('t1', 't2'),
    cpus: fc.integer({ min: 0, max: 8 }),
    gpus: fc.integer({ min: 0, max: 2 }),
    used: fc.integer({ min: 0, max: 8 }),
    live: fc.integer({ min: 0, max: 5 }),
    origin: fc.constantFrom<'user' | 'job'>('user', 'job'),
    phase: fc.constantFrom<PlannedCluster['phase']>('pending', 'provisioning', 'ready'),
  }),
  { maxLength: 5 },
);
const scene = fc.tuple(anyJobs, anyClusters).map(([jobs, clusters]) => ({
  jobs: jobs.map((one, index) =>
    job(`j${index}`, { tenantId: one.tenant as TenantId, cpus: one.cpus, gpus: one.gpus, wantedCluster: one.wanted }),
  ),
  clusters: clusters.map((one, index) =>
    cluster(`c${index}`, {
      tenantId: one.tenant as TenantId,
      origin: one.origin,
      phase: one.phase,
      capacity: { cpus: one.cpus, gpus: one.gpus, memoryBytes: 2 ** 40, resources: {} },
      reserved: { ...nothing, cpus: Math.min(one.used, one.cpus) },
      liveJobs: one.live,
    }),
  ),
}));

describe('a plan', () => {
  test('has one decision for each job, in their order', () => {
    fc.assert(
      fc.property(scene, ({ jobs, clusters }) => {
        expect(plan(jobs, clusters, options()).map(decision => decision.jobId)).toEqual(jobs.map(one => one.id));
      }),
    );
  });

  test('never overfills a cluster, leaves its tenant, its wish, or what is ready', () => {
    fc.assert(
      fc.property(scene, ({ jobs, clusters }) => {
        const reserved = new Map<ClusterId, Amounts>(clusters.map(one => [one.id, one.reserved]));
        const live = new Map<ClusterId, number>(clusters.map(one => [one.id, one.liveJobs]));
        for (const decision of plan(jobs, clusters, options())) {
          if (decision.kind !== 'assign') continue;
          const chosen = clusters.find(one => one.id === decision.clusterId) as PlannedCluster;
          const asking = jobs.find(one => one.id === decision.jobId) as QueuedJob;
          expect(chosen.phase).toBe('ready');
          expect(chosen.tenantId).toBe(asking.tenantId);
          if (asking.wantedCluster) expect([chosen.id, chosen.name]).toContain(asking.wantedCluster);
          expect(decision.reserve).toEqual(reservation(asking.needs, chosen.capacity));
          const now = add(reserved.get(chosen.id) ?? nothing, decision.reserve);
          reserved.set(chosen.id, now);
          expect(shortage(now, chosen.capacity)).toBeNull();
          live.set(chosen.id, (live.get(chosen.id) ?? 0) + 1);
          expect(live.get(chosen.id)).toBeLessThanOrEqual(4);
        }
      }),
    );
  });

  test('takes a cluster that its own load has filled only where no other has room', () => {
    const filled = cluster('a', { cpus: 2, saturated: true });
    const [decision] = plan([job('j')], [filled, cluster('b', { cpus: 8 })], options());
    expect(decision).toMatchObject({ kind: 'assign', clusterId: 'b' });
    expect(plan([job('j')], [filled], options())).toMatchObject([{ kind: 'assign', clusterId: 'a' }]);
    const full = cluster('b', { reserved: { ...nothing, cpus: 4 } });
    expect(plan([job('j')], [filled, full], options())).toMatchObject([{ kind: 'assign', clusterId: 'a' }]);
  });

  test('sends a job that names a cluster there for what that can grow to, and no other', () => {
    const growing = cluster('a', { cpus: 1, growsTo: { cpus: 5, gpus: 0, memoryBytes: 2 ** 40, resources: {} } });
    const named = (id: string, cpus: number) => job(id, { cpus, wantedCluster: 'a' });
    const refused = new Map([['k' as JobId, 'no machine is free']]);
    const jobs = [named('j', 4), job('k', { cpus: 4 }), named('l', 1), named('m', 2), named('n', 6)];
    expect(plan(jobs, [growing], options({ refused }))).toMatchObject([
      { kind: 'assign', jobId: 'j', reserve: { cpus: 4 } },
      { kind: 'wait', jobId: 'k', message: 'no machine is free' },
      { kind: 'assign', jobId: 'l' },
      { kind: 'wait', jobId: 'm', message: expect.stringContaining('7 CPUs of 5') },
      { kind: 'wait', jobId: 'n', message: expect.stringContaining('can never run this job') },
    ]);
  });

  test('binds no job to the cluster whose room it waits for: another that has room takes it', () => {
    const full = cluster('a', { reserved: { ...nothing, cpus: 4 } });
    const refused = new Map([['j' as JobId, 'no machine is free']]);
    expect(plan([job('j')], [full], options({ refused }))).toMatchObject([{ kind: 'wait', jobId: 'j' }]);
    expect(plan([job('j')], [full, cluster('b')], options({ refused }))).toMatchObject([
      { kind: 'assign', jobId: 'j', clusterId: 'b' },
    ]);
  });

  test('brings up at most one cluster for a tenant at a time', () => {
    fc.assert(
      fc.property(scene, ({ jobs, clusters }) => {
        const wanted = plan(jobs, clusters, options()).filter(decision => decision.kind === 'provision');
        expect(new Set(wanted.map(({ tenantId }) => tenantId)).size).toBe(wanted.length);
        for (const { tenantId } of wanted) {
          const coming = clusters.filter(
            one => one.tenantId === tenantId && one.origin === 'job' && one.phase !== 'ready',
          );
          expect(coming).toEqual([]);
        }
      }),
    );
  });

  test('is the same whatever the order of the clusters', () => {
    fc.assert(
      fc.property(scene, ({ jobs, clusters }) => {
        expect(plan(jobs, [...clusters].reverse(), options())).toEqual(plan(jobs, clusters, options()));
      }),
    );
  });

  test('lets no later job take the room that an earlier one of like needs waits for', () => {
    fc.assert(
      fc.property(scene, ({ jobs, clusters }) => {
        const decisions = plan(jobs, clusters, options());
        for (const [index, decision] of decisions.entries()) {
          if (decision.kind === 'assign') continue;
          const earlier = jobs[index] as QueuedJob;
          const overtakers = decisions.slice(index + 1).filter((later: Decision, offset) => {
            const other = jobs[index + 1 + offset] as QueuedJob;
            return (
              later.kind === 'assign' &&
              other.tenantId === earlier.tenantId &&
              other.wantedCluster === earlier.wantedCluster &&
              JSON.stringify(other.needs) === JSON.stringify(earlier.needs)
            );
          });
          expect(overtakers).toEqual([]);
        }
      }),
    );
  });
});

describe('where a job goes', () => {
  const decide = (jobs: QueuedJob[], clusters: PlannedCluster[], more: Partial<PlanOptions> = {}) =>
    plan(jobs, clusters, options(more));

  test('the fullest cluster that has room is taken', () => {
    const half = cluster('b', { reserved: { ...nothing, cpus: 2 }, liveJobs: 2 });
    expect(decide([job('j')], [cluster('a'), half])).toMatchObject([{ kind: 'assign', clusterId: 'b' }]);
  });

  test('a job without room gets a cluster of its own brought up', () => {
    const full = cluster('a', { reserved: { ...nothing, cpus: 4 } });
    expect(decide([job('j')], [full])).toMatchObject([{ kind: 'provision', jobId: 'j' }]);
  });

  test('a job that a cluster on its way can carry waits for that one', () => {
    const coming = cluster('a', { phase: 'provisioning' });
    expect(decide([job('j')], [coming])).toMatchObject([
      { kind: 'wait', message: 'Waiting for cluster name-a: its head is starting.' },
    ]);
  });

  test("a user's own cluster without machines is not waited for by jobs that did not name it", () => {
    const pending = cluster('a', { phase: 'pending', origin: 'user' });
    expect(decide([job('j')], [pending])).toMatchObject([{ kind: 'provision' }]);
  });

  test('a large job at the front is not starved by small ones behind it', () => {
    const busy = cluster('a', { reserved: { ...nothing, cpus: 1 }, liveJobs: 1 });
    const refused = new Map([['large' as JobId, 'Waiting for a machine: all are taken']]);
    const decisions = decide([job('large', { cpus: 4 }), job('small')], [busy], { refused });
    expect(decisions.map(decision => decision.kind)).not.toContain('assign');
  });

  test('a named cluster that can never carry the job says so', () => {
    expect(decide([job('j', { cpus: 9, wantedCluster: 'name-a' })], [cluster('a')])).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('can never run this job: it asks for 9 CPUs of 4') },
    ]);
  });

  test('a job that names a cluster of another tenant finds none', () => {
    const foreign = cluster('a', { tenantId: 't2' as TenantId });
    expect(decide([job('j', { wantedCluster: 'a' })], [foreign])).toMatchObject([
      { kind: 'wait', message: expect.stringContaining('no cluster of that name or id') },
    ]);
  });

  test('labels decide', () => {
    const labelled = cluster('b', { nodeLabels: [{ zone: 'north' }] });
    const picky = { ...job('j'), needs: { ...job('j').needs, labelSelector: { zone: 'in(north, south)' } } };
    expect(decide([picky], [cluster('a'), labelled])).toMatchObject([{ kind: 'assign', clusterId: 'b' }]);
  });
});

describe('label selectors', () => {
  test.each([
    ['zone', 'north', { zone: 'north' }, true],
    ['zone', 'north', {}, false],
    ['zone', '!north', { zone: 'south' }, true],
    ['zone', '!north', {}, true],
    ['zone', 'in(north, south)', { zone: 'south' }, true],
    ['zone', '!in(north, south)', { zone: 'south' }, false],
    ['ray.io/accelerator-type', 'H100', {}, true],
  ])('%s: %s on %j is %s', (key, text, labels, expected) => {
    expect(labelsMatch(labels as Record<string, string>, { [key]: text })).toBe(expected);
  });

  test.each(['in(a', 'a)', 'a b', '!!a', 'in(a)(b)', `${'x'.repeat(64)}`])('%j is no selector', text => {
    expect(parseLabelCondition('zone', text)).toBeNull();
  });

  test('a node that carries the labels asked for satisfies the selector, as far as plain values go', () => {
    const value = fc.constantFrom('a', 'b', '!a', 'in(a, b)', '!in(b)', 'in(b)');
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('x', 'y', 'z'), value), selector => {
        const positive = Object.fromEntries(Object.entries(selector).filter(([, text]) => !text.startsWith('!')));
        expect(labelsMatch(labelsFor(selector), positive)).toBe(true);
      }),
    );
  });
});
