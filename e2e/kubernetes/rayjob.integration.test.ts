/**
 * RayJobs on a real API server, with the operator as a process under its own roles. Pods are played by KWOK; the jobs
 * are real: each cluster's head is one Ray head on this machine, which takes, runs, fails and stops them.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type RayHead, startRayHead } from '@iocloud/control-plane/jobs/testing';
import { isNotFound, objectPath, type RayJob, type RayJobSpec, resources } from '@iocloud/ray-operator';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group, template } from './ground.js';
import { HeadsFront } from './heads-front.js';
import { OperatorProcess } from './operator-process.js';

/** A machine that has other things to do, too, takes minutes for what takes seconds. */
jest.setTimeout(150_000);
const patienceMs = 60_000;

let ground: Ground;
let head: RayHead;
let front: HeadsFront;
let operator: OperatorProcess;

const start = () =>
  OperatorProcess.start(ground.bed, { RAY_OPERATOR_DASHBOARD: front.template, RAY_OPERATOR_JOB_POLL_SECONDS: '1' });

beforeAll(async () => {
  [ground, head] = await Promise.all([Ground.make(3), startRayHead({ cpus: 4 })]);
  const tokenOf = async (namespace: string, name: string) => {
    const path = objectPath(resources.secrets, namespace, name);
    const { data } = await ground.admin.get<{ data: { auth_token: string } }>(path);
    return Buffer.from(data.auth_token, 'base64').toString();
  };
  front = await HeadsFront.start({ head, tokenOf });
  operator = await start();
  await operator.said('following');
});

afterAll(async () => {
  await operator?.stop();
  await front?.stop();
  await Promise.all([ground?.stop(), head?.stop()]);
});

const cluster = { headGroupSpec: { template: template('ray-head') }, workerGroupSpecs: [group(1)] };

async function create(name: string, spec: Partial<RayJobSpec>, annotations: Record<string, string> = {}) {
  const defaults = { submissionMode: 'HTTPMode', ...(spec.clusterSelector ? {} : { rayClusterSpec: cluster }) };
  const metadata = { name, namespace: 'default', annotations };
  const manifest = { apiVersion: 'ray.io/v1', kind: 'RayJob', metadata, spec: { ...defaults, ...spec } };
  return ground.admin.create<RayJob>(resources.rayJobs, manifest);
}

const path = (name: string) => objectPath(resources.rayJobs, 'default', name);
const get = (name: string) => ground.admin.get<RayJob>(path(name));
const change = (name: string, spec: object) => ground.admin.merge(path(name), { spec });

async function reaches(name: string, state: string): Promise<NonNullable<RayJob['status']>> {
  let last: unknown;
  return until(`${name} is ${state}`, patienceMs, async () => {
    const { status } = await get(name);
    last = status;
    return status?.jobDeploymentStatus === state ? status : null;
  }).catch((error: Error) => {
    throw new Error(`${error.message}\n${JSON.stringify(last)}\n${operator.transcript()}`);
  });
}

async function runs(name: string) {
  return until(`${name} runs at the head`, patienceMs, async () => {
    const { status } = await get(name);
    return status?.jobStatus === 'RUNNING' ? status : null;
  });
}

async function atHead(jobId = ''): Promise<string> {
  const url = `http://${head.host}:${head.port}/api/jobs/${jobId}`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${head.token}` } });
  return ((await answer.json()) as { status: string }).status;
}

const submissionsOf = (name: string) => front.submissions.filter(id => id.startsWith(`${name}-`));
const clusterNames = async () => (await ground.bed.kubectl('get', 'rayclusters', '-o', 'name')).trim().split('\n');
const events = (reason: string) => ground.bed.kubectl('get', 'events', '--field-selector', `reason=${reason}`);

test('a job gets a cluster, runs, succeeds, is listed as its users know it, and goes with all it had', async () => {
  const runtimeEnvYAML = 'env_vars:\n  GREETING: hello\n';
  const entrypoint = `python -c "import os; assert os.environ['GREETING'] == 'hello'"`;
  await create('life', { entrypoint, runtimeEnvYAML, metadata: { team: 'a' } });
  const status = await reaches('life', 'Complete');
  expect(status).toMatchObject({ jobStatus: 'SUCCEEDED', succeeded: 1, failed: 0, observedGeneration: 1 });
  expect(status.jobId).toMatch(/^life-[a-z0-9]{5}$/);
  expect(status.dashboardURL).toBe(`${status.rayClusterName}-head-svc.default.svc.cluster.local:8265`);
  expect(status.rayClusterStatus?.state).toBe('ready');
  expect(Date.parse(status.rayJobInfo?.endTime ?? '')).toBeGreaterThan(0);
  const table = await ground.bed.kubectl('get', 'rayjob', 'life');
  expect(table.split('\n')[0]?.split(/\s{2,}/)).toEqual([
    'NAME',
    'JOB STATUS',
    'DEPLOYMENT STATUS',
    'RAY CLUSTER NAME',
    'START TIME',
    'END TIME',
    'AGE',
  ]);
  expect(table).toMatch(/life\s+SUCCEEDED\s+Complete\s+life-/);
  expect(await events('CreatedRayCluster')).toContain('life');
  await ground.admin.delete(resources.rayJobs, await get('life'));
  await ground.gone(resources.rayJobs, 'life');
  await ground.gone(resources.rayClusters, status.rayClusterName ?? '');
});

test('a Kubernetes Job submits: its own program, run as in its pod, hands the log on and submits no second time', async () => {
  await create('submitter', { submissionMode: 'K8sJobMode', entrypoint: `echo "it's $((40 + 2)) && done"` });
  const { jobId } = await reaches('submitter', 'Running');
  const { spec } = await ground.admin.get<{
    spec: {
      backoffLimit: number;
      template: { spec: { containers: { command: string[]; env: { name: string; value?: string }[] }[] } };
    };
  }>(objectPath(resources.jobs, 'default', 'submitter'));
  const container = spec.template.spec.containers[0];
  const [, ...args] = container?.command ?? [];
  const given = Object.fromEntries((container?.env ?? []).map(({ name, value = '' }) => [name, value]));
  const env = {
    ...process.env,
    ...given,
    RAY_DASHBOARD_ADDRESS: `${head.host}:${head.port}`,
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN: head.token,
  };
  const python = `${process.env.IOCLOUD_VENV}/bin/python`;
  const submit = () => promisify(execFile)(python, args, { env });
  expect((await submit()).stdout).toContain("it's 42 && done");
  expect((await submit()).stderr).toContain(`job ${jobId}: SUCCEEDED`);
  const status = await reaches('submitter', 'Complete');
  expect(status).toMatchObject({ jobId, jobStatus: 'SUCCEEDED' });
  expect(submissionsOf('submitter')).toEqual([]);
});

test('a job that fails is tried again as often as its backoffLimit says, each time on a cluster of its own', async () => {
  await create('fails', { entrypoint: 'exit 3', backoffLimit: 1, shutdownAfterJobFinishes: true });
  const status = await reaches('fails', 'Failed');
  expect(status).toMatchObject({ reason: 'AppFailed', jobStatus: 'FAILED', failed: 2, succeeded: 0 });
  expect(new Set(submissionsOf('fails')).size).toBe(2);
  expect(submissionsOf('fails')).toHaveLength(2);
  expect(await events('RayJobRetrying')).toContain('AppFailed');
  await until('its clusters are gone', patienceMs, async () =>
    (await clusterNames()).every(name => !name.includes('/fails-')),
  );
  expect((await get('fails')).status?.jobDeploymentStatus).toBe('Failed');
});

test('where it is asked for, the retry takes the cluster that is there', async () => {
  await create('reuse', { entrypoint: 'exit 3', backoffLimit: 1 }, { 'io.iocloud/retry-reuses-cluster': 'true' });
  const first = await until('a cluster', patienceMs, async () => (await get('reuse')).status?.rayClusterName);
  const uid = (await until('it is there', patienceMs, () => ground.get(first).catch(() => null))).metadata.uid;
  const status = await reaches('reuse', 'Failed');
  expect(status).toMatchObject({ failed: 2, rayClusterName: first });
  expect((await ground.get(first)).metadata.uid).toBe(uid);
  expect(new Set(submissionsOf('reuse')).size).toBe(2);
});

test('a deadline ends the job at the head, too, and the time to live its cluster', async () => {
  await create('late', { entrypoint: 'sleep 600', shutdownAfterJobFinishes: true, ttlSecondsAfterFinished: 2 });
  const { jobId } = await runs('late');
  // Only now: on a busy machine it might pass before the job runs.
  await change('late', { activeDeadlineSeconds: 1 });
  const status = await reaches('late', 'Failed');
  expect(status).toMatchObject({ reason: 'DeadlineExceeded', failed: 1 });
  await until('stopped', patienceMs, async () => (await atHead(jobId)) === 'STOPPED');
  await ground.gone(resources.rayClusters, status.rayClusterName ?? '');
});

test('a job is suspended and resumed, with its head kept where that is asked for', async () => {
  const keep = { 'io.iocloud/suspend-keeps-head': 'true' };
  await Promise.all([create('rests', { entrypoint: 'sleep 600' }), create('keeps', { entrypoint: 'sleep 600' }, keep)]);
  const [rests, keeps] = await Promise.all([runs('rests'), runs('keeps')]);
  await Promise.all([change('rests', { suspend: true }), change('keeps', { suspend: true })]);
  const [resting, keeping] = await Promise.all([reaches('rests', 'Suspended'), reaches('keeps', 'Suspended')]);
  expect(resting.rayClusterName).toBeUndefined();
  await ground.gone(resources.rayClusters, rests.rayClusterName ?? '');
  expect(keeping.rayClusterName).toBe(keeps.rayClusterName);
  expect(await atHead(keeps.jobId)).toBe('STOPPED');
  await until('only the head is left', patienceMs, async () => {
    const names = (await ground.pods(keeps.rayClusterName ?? '')).map(({ metadata }) => metadata.name);
    return names.length === 1 && names[0] === `${keeps.rayClusterName}-head`;
  });
  await Promise.all([change('rests', { suspend: false }), change('keeps', { suspend: false })]);
  const [again, on] = await Promise.all([runs('rests'), runs('keeps')]);
  expect(again.rayClusterName).not.toBe(rests.rayClusterName);
  expect(on).toMatchObject({ rayClusterName: keeps.rayClusterName });
  expect(on.jobId).not.toBe(keeps.jobId);
  await until(
    'its worker is back',
    patienceMs,
    async () => (await ground.pods(keeps.rayClusterName ?? '')).length === 2,
  );
});

test('neither a head that restarts nor one that does not answer nor the operator’s own death touches the job', async () => {
  await create('survives', { entrypoint: 'sleep 12', backoffLimit: 2 });
  const { jobId, rayClusterName = '' } = await runs('survives');
  const before = await ground.get(rayClusterName);
  front.isCut = true;
  await ground.bed.kubectl('delete', 'pod', '--wait=false', `${rayClusterName}-head`);
  await until('the outage is told', patienceMs, async () =>
    (await get('survives')).status?.conditions?.some(
      ({ type, status }) => type === 'DashboardReachable' && status === 'False',
    ),
  );
  await operator.kill();
  operator = await start();
  front.isCut = false;
  const status = await reaches('survives', 'Complete');
  expect(status).toMatchObject({ jobId, rayClusterName, jobStatus: 'SUCCEEDED', succeeded: 1, failed: 0 });
  expect((await ground.get(rayClusterName)).metadata.uid).toBe(before.metadata.uid);
  expect(submissionsOf('survives')).toEqual([jobId]);
});

test('a job on a cluster that was there before is stopped with its RayJob, and the cluster stays', async () => {
  await ground.create('standing', { workerGroupSpecs: [group(1)] });
  await ground.settled('standing', 1);
  await create('guest', { entrypoint: 'sleep 600', clusterSelector: { 'ray.io/cluster': 'standing' } });
  const { jobId, rayClusterName } = await runs('guest');
  expect(rayClusterName).toBe('standing');
  await ground.admin.delete(resources.rayJobs, await get('guest'));
  await until('it is gone', patienceMs, () => get('guest').then(() => false, isNotFound));
  await until('stopped', patienceMs, async () => (await atHead(jobId)) === 'STOPPED');
  expect((await ground.get('standing')).metadata.deletionTimestamp).toBeUndefined();
});

test('a bad spec is told, makes nothing, and mending it is all that is needed', async () => {
  await create('bad', { entrypoint: 'true', ttlSecondsAfterFinished: 5 });
  const status = await reaches('bad', 'ValidationFailed');
  expect(status).toMatchObject({
    reason: 'ValidationFailed',
    message: expect.stringMatching(/^ttlSecondsAfterFinished: /),
  });
  await until('the event', patienceMs, async () =>
    (await events('InvalidRayJobSpec')).includes('ttlSecondsAfterFinished'),
  );
  expect((await clusterNames()).some(name => name.includes('/bad-'))).toBe(false);
  await change('bad', { shutdownAfterJobFinishes: true });
  await reaches('bad', 'Complete');
});

test('what Ray refuses is told in Ray’s words', async () => {
  await create('refused', { entrypoint: 'true', runtimeEnvYAML: 'working_dir: /nowhere-on-this-machine\n' });
  const status = await reaches('refused', 'Failed');
  expect(status.message).toMatch(/working_dir|nowhere/);
});

test('all of this went under the operator’s roles, with each cluster’s own token, and without reading one', async () => {
  expect(operator.lines.filter(line => JSON.stringify(line).includes('is forbidden: User'))).toEqual([]);
  expect(front.refused).toEqual([]);
  const as = '--as=system:serviceaccount:ray-system:ray-operator';
  const may = async (verb: string, resource: string) =>
    (
      await ground.bed
        .kubectl('auth', 'can-i', verb, resource, '-n', 'default', as)
        .catch((error: { stdout?: string }) => error.stdout ?? '')
    ).trim();
  expect(await may('get', 'secrets')).toBe('no');
  expect(await may('get', 'services/proxy')).toBe('no');
});
