import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { annotations } from '../names.js';
import { aJob, JobWorld } from '../testing/ray-jobs.js';
import { clusterOf, submitterJob } from './manifests.js';
import { nextLookMs } from './pace.js';
import { isFinished, type State, transitions } from './states.js';
import { validateRayJob } from './validation.js';

const running = (spec = {}, metadata = {}) => {
  const world = new JobWorld(aJob(spec, metadata));
  world.settle(6);
  expect(world.job.status?.jobDeploymentStatus).toBe('Running');
  return world;
};
const statusOf = ({ job }: JobWorld) => job.status ?? {};
const reuse = { annotations: { [annotations.retryReusesCluster]: 'true' } };

test('each state but the last two leads to one of those', () => {
  const reachable = (from: State, seen = new Set<State>()): Set<State> => {
    if (seen.has(from)) return seen;
    seen.add(from);
    for (const next of Object.values(transitions[from])) reachable(next, seen);
    return seen;
  };
  for (const state of Object.keys(transitions) as State[]) {
    const ends = [...reachable(state)].filter(isFinished);
    expect([state, ends.length > 0]).toEqual([state, true]);
  }
});

test('docs/kubernetes.md draws the table as it is', () => {
  const docs = readFileSync(new URL('../../../../docs/kubernetes.md', import.meta.url), 'utf8');
  const drawn = [...docs.matchAll(/^ {2}(\w+) --> (\w+): (.+)$/gm)].flatMap(([, from, to, events = '']) =>
    events.split(', ').map(event => `${from} ${event} ${to}`),
  );
  const named = (state: string) => state || 'New';
  const table = Object.entries(transitions).flatMap(([from, moves]) =>
    Object.entries(moves).map(([event, to]) => `${named(from)} ${event} ${named(to)}`),
  );
  expect(drawn.sort()).toEqual(table.sort());
});

test('a job runs on a cluster of its own, is submitted once, and its end is told', () => {
  const world = running();
  expect(world.submissions).toEqual([statusOf(world).jobId]);
  expect([...world.clusters.keys()]).toEqual([statusOf(world).rayClusterName]);
  world.becomes('SUCCEEDED');
  world.settle();
  expect(statusOf(world)).toMatchObject({
    jobDeploymentStatus: 'Complete',
    jobStatus: 'SUCCEEDED',
    succeeded: 1,
    failed: 0,
  });
  expect(world.clusters.size).toBe(1);
});

test('a head that does not answer is waited for, and the job goes on where it was', () => {
  const world = running({ backoffLimit: 3 });
  const { jobId, rayClusterName } = statusOf(world);
  world.unreachable = true;
  for (let minute = 0; minute < 9; minute += 1) {
    world.step();
    world.nowMs += 60_000;
  }
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Running', jobId, rayClusterName });
  world.unreachable = false;
  world.becomes('SUCCEEDED');
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Complete', jobId, rayClusterName, failed: 0 });
  expect(world.submissions).toHaveLength(1);
});

test('a head that stays away for longer than the grace ends the attempt', () => {
  const world = running();
  world.unreachable = true;
  world.step();
  world.nowMs += 601_000;
  world.step();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Failed', reason: 'JobStatusCheckTimeoutExceeded' });
});

test('a head that has forgotten the job is believed after a minute, not at once', () => {
  const world = running();
  world.step();
  world.heads.get(statusOf(world).rayClusterName ?? '')?.clear();
  world.step();
  expect(statusOf(world).jobDeploymentStatus).toBe('Running');
  world.nowMs += 61_000;
  world.step();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Failed', reason: 'JobLost' });
});

test('a retry has a new cluster and a new submission, and the last failure ends the job', () => {
  const world = running({ backoffLimit: 1 });
  const first = statusOf(world);
  world.becomes('FAILED');
  world.settle();
  const second = statusOf(world);
  expect(second).toMatchObject({ jobDeploymentStatus: 'Running', failed: 1 });
  expect(second.rayClusterName).not.toBe(first.rayClusterName);
  expect([...world.clusters.keys()]).toEqual([second.rayClusterName]);
  world.becomes('FAILED');
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Failed', reason: 'AppFailed', failed: 2 });
  expect(world.submissions).toHaveLength(2);
});

test('where it is asked for, a retry takes the cluster that is there, under an id of its own', () => {
  const world = running({ backoffLimit: 1, jobId: 'chosen' }, reuse);
  const { rayClusterName } = statusOf(world);
  world.becomes('FAILED');
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Running', rayClusterName, failed: 1 });
  expect(new Set(world.submissions).size).toBe(2);
  expect(world.submissions[0]).toBe('chosen');
});

test('a cluster that is not whole is not reused', () => {
  const world = running({ backoffLimit: 1 }, reuse);
  const { rayClusterName = '' } = statusOf(world);
  const cluster = world.clusters.get(rayClusterName);
  if (cluster?.status)
    world.clusters.set(rayClusterName, { ...cluster, status: { ...cluster.status, readyWorkerReplicas: 1 } });
  world.becomes('FAILED');
  world.settle();
  expect(statusOf(world).rayClusterName).not.toBe(rayClusterName);
});

test('deadlines end a job for good, and what still runs of it is stopped', () => {
  const world = running({ activeDeadlineSeconds: 60, backoffLimit: 5 });
  world.nowMs += 61_000;
  world.settle();
  expect(statusOf(world)).toMatchObject({
    jobDeploymentStatus: 'Failed',
    reason: 'DeadlineExceeded',
    jobStatus: 'STOPPED',
  });
  const slow = new JobWorld(aJob({ preRunningDeadlineSeconds: 10 }));
  slow.step();
  slow.nowMs += 11_000;
  slow.step();
  expect(slow.job.status).toMatchObject({ jobDeploymentStatus: 'Failed', reason: 'PreRunningDeadlineExceeded' });
});

test('a suspended job holds nothing, and begins anew when it is resumed', () => {
  const world = running();
  const first = statusOf(world);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  world.settle();
  expect(statusOf(world).jobDeploymentStatus).toBe('Suspended');
  expect([world.clusters.size, statusOf(world).jobId]).toEqual([0, undefined]);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: false } };
  world.settle();
  expect(statusOf(world).jobDeploymentStatus).toBe('Running');
  expect(statusOf(world).rayClusterName).not.toBe(first.rayClusterName);
});

test('where it is asked for, a suspension keeps the head: only the workers go, and come back', () => {
  const world = running({}, { annotations: { [annotations.suspendKeepsHead]: 'true' } });
  const { rayClusterName = '', jobId = '' } = statusOf(world);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: true } };
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Suspended', rayClusterName });
  expect(world.heads.get(rayClusterName)?.get(jobId)?.status).toBe('STOPPED');
  expect(world.clusters.get(rayClusterName)?.spec.workerGroupSpecs?.[0]?.suspend).toBe(true);
  world.job = { ...world.job, spec: { ...world.job.spec, suspend: false } };
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Running', rayClusterName });
  expect(world.clusters.get(rayClusterName)?.spec.workerGroupSpecs?.[0]?.suspend).toBe(false);
  expect(world.submissions).toHaveLength(2);
});

describe('with a submitter', () => {
  const submitted = () => {
    const world = running({ submissionMode: 'K8sJobMode' });
    world.submit(statusOf(world).jobId ?? '');
    world.step();
    return world;
  };
  const ended = (world: JobWorld, type: string) => {
    if (world.submitter) world.submitter = { ...world.submitter, status: { conditions: [{ type, status: 'True' }] } };
  };

  test('its loss after the submission changes nothing', () => {
    const world = submitted();
    ended(world, 'Failed');
    world.nowMs += 600_000;
    world.settle();
    world.submitter = undefined;
    world.settle();
    expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Running', jobStatus: 'RUNNING' });
    expect(world.submitter).toBeUndefined();
  });

  test('one that is lost before the submission is made again, for the same id', () => {
    const world = running({ submissionMode: 'K8sJobMode' });
    world.submitter = undefined;
    world.step();
    const made = world.observe().submitter;
    expect(made?.metadata.annotations?.[annotations.submissionId]).toBe(statusOf(world).jobId);
  });

  test('one that has ended without a submission fails the attempt', () => {
    const world = running({ submissionMode: 'K8sJobMode' });
    ended(world, 'Failed');
    world.step();
    world.nowMs += 61_000;
    world.step();
    expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Failed', reason: 'SubmissionFailed' });
  });

  test('a cluster that goes with its job waits for the submitter to hand the log on', () => {
    const world = running({ submissionMode: 'K8sJobMode', shutdownAfterJobFinishes: true });
    world.submit(statusOf(world).jobId ?? '');
    world.becomes('SUCCEEDED');
    world.settle();
    expect(world.clusters.size).toBe(1);
    expect(nextLookMs(world.job, world.observe(), 3_000)).toBe(5_000);
    ended(world, 'Complete');
    world.settle();
    expect(world.clusters.size).toBe(0);
  });

  test('it carries id, submission and token, and nothing of it is in its arguments', () => {
    const world = running({ submissionMode: 'K8sJobMode', entrypoint: `python -c 'print("$HOME & co")'` });
    const cluster = [...world.clusters.values()][0];
    if (!cluster) throw new Error('no cluster');
    const { spec } = submitterJob(world.job, cluster, { pip: ['x'] }) as unknown as {
      spec: { backoffLimit: number; template: { spec: { containers: Record<string, unknown>[] } } };
    };
    expect(spec.backoffLimit).toBe(2);
    const env = spec.template.spec.containers[0]?.env as { name: string; value?: string }[];
    const value = (name: string) => env.find(each => each.name === name)?.value;
    expect(value('RAY_DASHBOARD_ADDRESS')).toBe(
      `${statusOf(world).rayClusterName}-head-svc.team.svc.cluster.local:8265`,
    );
    expect(JSON.parse(value('RAY_JOB_SUBMISSION') ?? '')).toMatchObject({
      submission_id: value('RAY_JOB_SUBMISSION_ID'),
      entrypoint: `python -c 'print("$HOME & co")'`,
      runtime_env: { pip: ['x'] },
    });
    expect(env.map(({ name }) => name)).toContain('RAY_AUTH_TOKEN');
  });
});

test('in SidecarMode the head gets the submitter beside it, and is not restarted in place', () => {
  const world = running({ submissionMode: 'SidecarMode' });
  const { spec } = clusterOf(world.job, undefined) as unknown as {
    spec: { headGroupSpec: { template: { spec: unknown } } };
  };
  expect(spec.headGroupSpec.template.spec).toMatchObject({
    restartPolicy: 'Never',
    containers: [{ name: 'ray-head' }, { name: 'ray-job-submitter' }],
  });
});

test('InteractiveMode waits for the id of a job that its user submits', () => {
  const world = new JobWorld(aJob({ submissionMode: 'InteractiveMode', entrypoint: undefined }));
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Waiting' });
  world.submit('by-hand');
  world.job = { ...world.job, spec: { ...world.job.spec, jobId: 'by-hand' } };
  world.settle();
  expect(statusOf(world)).toMatchObject({ jobDeploymentStatus: 'Running', jobId: 'by-hand', jobStatus: 'RUNNING' });
});

test('deletion rules follow one another, and of those overdue the greatest wins', () => {
  const condition = (ttlSeconds: number) => ({ jobStatus: 'SUCCEEDED' as const, ttlSeconds });
  const rules = [
    { policy: 'DeleteWorkers' as const, condition: condition(10) },
    { policy: 'DeleteCluster' as const, condition: condition(20) },
    { policy: 'DeleteSelf' as const, condition: condition(30) },
  ];
  const world = running({ deletionStrategy: { deletionRules: rules } });
  world.becomes('SUCCEEDED');
  world.settle();
  const suspended = () => [...world.clusters.values()].map(({ spec }) => spec.workerGroupSpecs?.[0]?.suspend);
  expect(suspended()).toEqual([undefined]);
  world.nowMs += 11_000;
  world.settle();
  expect(suspended()).toEqual([true]);
  world.nowMs += 10_000;
  world.settle();
  expect([world.clusters.size, world.isGone]).toEqual([0, false]);
  world.nowMs += 10_000;
  world.settle();
  expect(world.isGone).toBe(true);
});

test('what a spec says wrong is named with its field', () => {
  const problems = (spec: object) => validateRayJob(aJob(spec), text => JSON.parse(text));
  expect(problems({})).toEqual([]);
  expect(problems({ rayClusterSpec: undefined })).toEqual([
    'spec: one of rayClusterSpec and clusterSelector, and not both',
  ]);
  expect(problems({ entrypoint: undefined })).toEqual(['entrypoint: HTTPMode needs one']);
  expect(problems({ ttlSecondsAfterFinished: 5 })[0]).toMatch(/^ttlSecondsAfterFinished: /);
  expect(problems({ runtimeEnvYAML: '[1]' })).toEqual(['runtimeEnvYAML: a map is expected']);
  expect(problems({ entrypointResources: '{"x": "y"}' })[0]).toMatch(/^entrypointResources: /);
  expect(problems({ rayClusterSpec: undefined, clusterSelector: { a: 'b' }, suspend: true })[0]).toMatch(/^suspend: /);
});

test('whatever happens in whatever order, no attempt is submitted twice and no job has two clusters', () => {
  const happening = fc.constantFrom('step', 'cut', 'back', 'fail', 'succeed', 'suspend', 'resume', 'minute', 'forget');
  fc.assert(
    fc.property(
      fc.array(happening, { maxLength: 80 }),
      fc.nat(3),
      fc.boolean(),
      fc.boolean(),
      (happenings, backoffLimit, reuses, keeps) => {
        const marks = {
          [annotations.retryReusesCluster]: String(reuses),
          [annotations.suspendKeepsHead]: String(keeps),
        };
        const world = new JobWorld(aJob({ backoffLimit }, { annotations: marks }));
        const suspend = (value: boolean) => {
          world.job = { ...world.job, spec: { ...world.job.spec, suspend: value } };
        };
        const reach = (is: boolean) => {
          world.unreachable = !is;
        };
        const wait = (ms: number) => {
          world.nowMs += ms;
        };
        const happen: Record<string, () => unknown> = {
          step: () => world.step(),
          cut: () => reach(false),
          back: () => reach(true),
          fail: () => world.becomes('FAILED'),
          succeed: () => world.becomes('SUCCEEDED'),
          suspend: () => suspend(true),
          resume: () => suspend(false),
          minute: () => wait(60_000),
          // A head that loses what it was told a moment ago is told again: it knows of nothing that could run twice.
          forget: () => {
            if (statusOf(world).jobDeploymentStatus === 'Running')
              for (const head of world.heads.values()) head.clear();
          },
        };
        for (const each of happenings) {
          happen[each]?.();
          world.step();
          expect(world.clusters.size).toBeLessThanOrEqual(1);
          expect(statusOf(world).failed ?? 0).toBeLessThanOrEqual(backoffLimit + 1);
        }
        expect(new Set(world.submissions).size).toBe(world.submissions.length);
      },
    ),
    { numRuns: 300 },
  );
});
