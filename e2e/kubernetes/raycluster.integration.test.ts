/** RayClusters on a real API server, with the operator as a process under its own roles; KWOK plays the kubelets. */
import { objectPath, resources } from '@iocloud/ray-operator';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group } from './ground.js';
import { OperatorProcess } from './operator-process.js';

let ground: Ground;
let operator: OperatorProcess;

beforeAll(async () => {
  ground = await Ground.make(3);
  operator = await OperatorProcess.start(ground.bed);
  await operator.said('following');
});

afterAll(async () => {
  await operator?.stop();
  await ground?.stop();
});

const secret = (name: string) => objectPath(resources.secrets, 'default', name);

test('a cluster comes up, is listed as its users know it, and takes all with it when it goes', async () => {
  await ground.create('life', { enableInTreeAutoscaling: true });
  const cluster = await ground.settled('life', 2);
  expect(cluster.status?.head).toMatchObject({ podName: 'life-head', serviceName: 'life-head-svc' });
  const table = await ground.bed.kubectl('get', 'raycluster', 'life');
  expect(table.split('\n')[0]?.split(/\s{2,}/)).toEqual([
    'NAME',
    'DESIRED WORKERS',
    'AVAILABLE WORKERS',
    'CPUS',
    'MEMORY',
    'GPUS',
    'STATUS',
    'AGE',
  ]);
  expect(table).toMatch(/life\s+2\s+2\s+300m\s+192Mi\s+0\s+ready/);
  const { data } = await ground.admin.get<{ data: Record<string, string> }>(secret('life'));
  expect(Buffer.from(data.auth_token ?? '', 'base64').toString()).toMatch(/^[0-9a-f]{64}$/);
  const events = await ground.bed.kubectl('get', 'events', '-o', 'jsonpath={.items[*].reason}');
  expect(events).toContain('CreatedHeadPod');
  await ground.remove('life');
  await until('its pods are gone', 30_000, async () => (await ground.pods('life')).length === 0);
  await ground.gone(resources.services, 'life-head-svc');
  await ground.gone(resources.secrets, 'life');
  await ground.gone(resources.roleBindings, 'life-autoscaler');
});

test('workers follow the replicas, and workersToDelete says who goes', async () => {
  await ground.create('scale', { workerGroupSpecs: [group(2)] });
  await ground.settled('scale', 2);
  await ground.patch('scale', [{ op: 'replace', path: '/spec/workerGroupSpecs/0/replicas', value: 5 }]);
  await ground.settled('scale', 5);
  const victims = (await ground.workers('scale')).slice(1, 3);
  await ground.patch('scale', [
    { op: 'replace', path: '/spec/workerGroupSpecs/0/replicas', value: 3 },
    { op: 'add', path: '/spec/workerGroupSpecs/0/scaleStrategy', value: { workersToDelete: victims } },
  ]);
  await ground.settled('scale', 3);
  expect(await ground.workers('scale')).not.toEqual(expect.arrayContaining([expect.stringMatching(victims.join('|'))]));
  await ground.change('scale', { workerGroupSpecs: [group(9, { maxReplicas: 4 })] });
  await ground.settled('scale', 4);
});

test('whatever pods are deleted, head and workers, the cluster comes back to its spec', async () => {
  await ground.create('losses', { workerGroupSpecs: [group(6)] });
  await ground.settled('losses', 6);
  for (let round = 0; round < 3; round += 1) {
    const pods = await ground.pods('losses');
    const chosen = pods.filter((_, index) => index % 3 === round).map(({ metadata }) => metadata.name);
    await ground.bed.kubectl('delete', 'pod', '--wait=false', ...chosen);
    const old = new Set(chosen.map(name => pods.find(pod => pod.metadata.name === name)?.metadata.uid));
    await until('those deleted are gone', 30_000, async () =>
      (await ground.pods('losses')).every(({ metadata }) => !old.has(metadata.uid)),
    );
    await ground.settled('losses', 6);
  }
});

test('a bad spec is told in a condition and an event, and mending it is all that is needed', async () => {
  await ground.create('bad', { workerGroupSpecs: [group(1), group(1)] });
  const problem = 'workerGroupSpecs: the name workers is used more than once';
  await until('the condition', 20_000, async () => (await ground.condition('bad', 'SpecValid'))?.status === 'False');
  expect(await ground.condition('bad', 'SpecValid')).toMatchObject({
    reason: 'InvalidSpec',
    message: problem,
    observedGeneration: 1,
  });
  expect(await ground.pods('bad')).toEqual([]);
  await until('the event', 20_000, async () =>
    (await ground.bed.kubectl('get', 'events', '--field-selector', 'reason=InvalidRayClusterSpec')).includes(problem),
  );
  await ground.change('bad', { workerGroupSpecs: [group(1)] });
  await ground.settled('bad', 1);
  expect(await ground.condition('bad', 'SpecValid')).toMatchObject({ status: 'True', observedGeneration: 2 });
});

test('the API server itself refuses what the schema forbids', async () => {
  await expect(ground.create('never', { workerGroupSpecs: [group(-1)] })).rejects.toThrow(/replicas/);
  await expect(ground.create('never', { headGroupSpec: { template: { spec: { containers: [] } } } })).rejects.toThrow(
    /containers/,
  );
  const managed = await ground.create('managed', { managedBy: 'kueue.x-k8s.io/multikueue' });
  expect(managed.spec.workerGroupSpecs?.[0]).toMatchObject({
    minReplicas: 0,
    maxReplicas: 2_147_483_647,
    numOfHosts: 1,
  });
  await expect(ground.change('managed', { managedBy: 'ray.io/kuberay-operator' })).rejects.toThrow(/immutable/);
});

test('a suspended cluster has no pods, and comes back when it is resumed', async () => {
  await ground.create('rest', {});
  await ground.settled('rest', 2);
  await ground.change('rest', { suspend: true });
  await until('suspended', 30_000, async () => (await ground.get('rest')).status?.state === 'suspended');
  expect(await ground.pods('rest')).toEqual([]);
  expect(await ground.condition('rest', 'RayClusterSuspended')).toMatchObject({ status: 'True' });
  await ground.change('rest', { suspend: false });
  await ground.settled('rest', 2);
  expect(await ground.condition('rest', 'RayClusterSuspended')).toMatchObject({ status: 'False' });
});

test('where Recreate asks for it, a changed template replaces every pod', async () => {
  const spec = { upgradeStrategy: { type: 'Recreate' as const }, workerGroupSpecs: [group(2)] };
  await ground.create('upgrade', spec);
  await ground.settled('upgrade', 2);
  const before = new Set((await ground.pods('upgrade')).map(({ metadata }) => metadata.uid));
  await ground.change('upgrade', { workerGroupSpecs: [group(2, { rayStartParams: { 'num-cpus': '7' } })] });
  await until('new pods', 30_000, async () => {
    const pods = await ground.pods('upgrade');
    return pods.length === 3 && pods.every(({ metadata }) => !before.has(metadata.uid));
  });
  await ground.settled('upgrade', 2);
});

test('hosts of a replica are lost and replaced together', async () => {
  await ground.create('hosts', { workerGroupSpecs: [group(2, { numOfHosts: 2 })] });
  await ground.settled('hosts', 4);
  const workers = (await ground.pods('hosts')).filter(
    ({ metadata }) => metadata.labels?.['ray.io/node-type'] === 'worker',
  );
  const lost = workers[0]?.metadata;
  const replica = lost?.labels?.['ray.io/worker-group-replica-name'];
  await ground.bed.kubectl('delete', 'pod', '--wait=false', lost?.name ?? '');
  await until('its replica is gone', 30_000, async () =>
    (await ground.pods('hosts')).every(
      ({ metadata }) => metadata.labels?.['ray.io/worker-group-replica-name'] !== replica,
    ),
  );
  await ground.settled('hosts', 4);
});

test('a quota is told of as it is, and the cluster is whole once there is room', async () => {
  await ground.bed.kubectl('create', 'namespace', 'narrow');
  await ground.bed.kubectl('-n', 'narrow', 'create', 'quota', 'pods', '--hard=pods=2');
  await ground.create('tight', { workerGroupSpecs: [group(4)] }, 'narrow');
  const path = objectPath(resources.rayClusters, 'narrow', 'tight');
  const read = () => ground.admin.get<Awaited<ReturnType<Ground['get']>>>(path);
  const failure = await until('the condition', 30_000, async () =>
    (await read()).status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True'),
  );
  expect(failure.reason).toBe('FailedCreateWorkerPod');
  expect(failure.message).toContain('exceeded quota');
  await ground.bed.kubectl('-n', 'narrow', 'delete', 'quota', 'pods');
  await until('ready', 60_000, async () => (await read()).status?.readyWorkerReplicas === 4);
});

test('the operator can do no more than its roles say', async () => {
  const may = async (verb: string, resource: string) =>
    (
      await ground.bed
        .kubectl('auth', 'can-i', verb, resource, '-A', '--as=system:serviceaccount:ray-system:ray-operator')
        .catch((error: { stdout?: string }) => error.stdout ?? '')
    ).trim();
  expect(await may('create', 'pods')).toBe('yes');
  for (const [verb, resource] of [
    ['get', 'secrets'],
    ['list', 'secrets'],
    ['create', 'deployments'],
    ['delete', 'services'],
    ['bind', 'clusterroles'],
  ]) {
    expect([verb, resource, await may(verb ?? '', resource ?? '')]).toEqual([verb, resource, 'no']);
  }
  // All of the above went well under them: nothing was forbidden but what the quota forbade.
  const refused = operator.lines.filter(line => JSON.stringify(line).includes('is forbidden: User'));
  expect(refused).toEqual([]);
});

test('one list of each kind is all that was ever asked for', async () => {
  const metrics = await operator.metrics();
  expect(metrics).toMatch(/ray_operator_lists\{kind="pods"\} 1\b/);
  expect(await operator.metric('ray_operator_expectations_expired_total')).toBe(0);
  expect(await operator.metric('workqueue_depth')).toBe(0);
});
