/** RayServices on a real API server, with the operator under its own roles; pods and Serve's own answers are pretended. */
import { objectPath, type RayService, type RayServiceSpec, resources, type Service } from '@iocloud/ray-operator';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group, template } from './ground.js';
import { OperatorProcess } from './operator-process.js';
import { PretendedServe } from './pretended-serve.js';

jest.setTimeout(150_000);
const patienceMs = 60_000;

let ground: Ground;
let serve: PretendedServe;
let operator: OperatorProcess;

const start = () =>
  OperatorProcess.start(ground.bed, { RAY_OPERATOR_DASHBOARD: serve.template, RAY_OPERATOR_JOB_POLL_SECONDS: '1' });

beforeAll(async () => {
  ground = await Ground.make(3);
  serve = await PretendedServe.start(async cluster =>
    (await ground.pods(cluster)).flatMap(({ status }) => status?.podIP ?? []),
  );
  operator = await start();
  await operator.said('following');
});

afterAll(async () => {
  await operator?.stop();
  await serve?.stop();
  await ground?.stop();
});

const apps = (path: string) => `applications:\n  - name: shop\n    import_path: ${path}\n`;
const clusterOf = (cpus: string) => ({
  headGroupSpec: { template: template('ray-head') },
  workerGroupSpecs: [group(1, { rayStartParams: { 'num-cpus': cpus } })],
});

async function create(name: string, spec: object = {}) {
  const full = {
    serveConfigV2: apps('shop:v1'),
    rayClusterConfig: clusterOf('1'),
    rayClusterDeletionDelaySeconds: 2,
    ...spec,
  };
  const metadata = { name, namespace: 'default' };
  await ground.admin.create(resources.rayServices, {
    apiVersion: 'ray.io/v1',
    kind: 'RayService',
    metadata,
    spec: full,
  });
}

const path = (name: string) => objectPath(resources.rayServices, 'default', name);
const get = (name: string) => ground.admin.get<RayService>(path(name));
const change = (name: string, spec: object) =>
  ground.admin.merge(path(name), { spec: spec as Partial<RayServiceSpec> });
const selectorOf = async (service: string) => {
  const found = await ground.admin.get<Service>(objectPath(resources.services, 'default', service));
  return (found.spec as { selector?: Record<string, string> }).selector;
};
const condition = async (name: string, type: string) =>
  (await get(name)).status?.conditions?.find(each => each.type === type);

async function serving(name: string, other = ''): Promise<string> {
  return until(`${name} serves`, patienceMs, async () => {
    const { status } = await get(name);
    const active = status?.activeServiceStatus?.rayClusterName;
    const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');
    if (!active || active === other || !isReady || status?.pendingServiceStatus) return null;
    return (await selectorOf(`${name}-serve-svc`))?.['ray.io/cluster'] === active ? active : null;
  }).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${JSON.stringify((await get(name)).status)}\n${operator.transcript()}`);
  });
}

test('applications are put on a cluster, and the services lead to the pods on which Serve takes requests', async () => {
  await create('shop');
  const active = await serving('shop');
  expect(serve.puts).toEqual([
    { cluster: active, config: { applications: [{ name: 'shop', import_path: 'shop:v1' }] } },
  ]);
  const { status } = await get('shop');
  expect(status).toMatchObject({
    serviceStatus: 'Running',
    numServeEndpoints: 2,
    activeServiceStatus: {
      applicationStatuses: { shop: { status: 'RUNNING', serveDeploymentStatuses: { Model: { status: 'HEALTHY' } } } },
    },
  });
  expect(await selectorOf('shop-serve-svc')).toEqual({ 'ray.io/cluster': active, 'ray.io/serve': 'true' });
  expect(await selectorOf('shop-head-svc')).toMatchObject({ 'ray.io/cluster': active, 'ray.io/node-type': 'head' });
  expect((await ground.pods(active)).map(({ metadata }) => metadata.labels?.['ray.io/serve'])).toEqual([
    'true',
    'true',
  ]);
});

test('changed applications are changed in place, and the operator’s death loses nothing', async () => {
  const active = await serving('shop');
  await operator.kill();
  operator = await start();
  await change('shop', { serveConfigV2: apps('shop:v2') });
  await until('they are put', patienceMs, () =>
    serve.puts.some(({ config }) => config.applications[0]?.import_path === 'shop:v2'),
  );
  expect(await serving('shop')).toBe(active);
  expect(serve.puts.every(({ cluster }) => cluster === active)).toBe(true);
});

test('a changed cluster comes up beside the one that serves, which goes only after the other has taken over', async () => {
  const before = await serving('shop');
  const old = await ground.get(before);
  await change('shop', { rayClusterConfig: clusterOf('2') });
  const pending = await until('a second cluster', patienceMs, async () => {
    const name = (await get('shop')).status?.pendingServiceStatus?.rayClusterName;
    if (name) serve.statuses.set(name, 'DEPLOYING');
    return name;
  });
  serve.statuses.set(pending, 'DEPLOYING');
  await until('its applications are put', patienceMs, () => serve.puts.some(({ cluster }) => cluster === pending));
  expect(await condition('shop', 'UpgradeInProgress')).toMatchObject({ status: 'True' });
  expect(await selectorOf('shop-serve-svc')).toMatchObject({ 'ray.io/cluster': before });
  expect((await ground.get(before)).metadata.uid).toBe(old.metadata.uid);
  serve.statuses.set(pending, 'RUNNING');
  expect(await serving('shop', before)).toBe(pending);
  expect(await condition('shop', 'UpgradeInProgress')).toMatchObject({ status: 'False' });
  await ground.gone(resources.rayClusters, before);
});

test('scaling is no upgrade, and a head that does not answer takes nothing away', async () => {
  const active = await serving('shop');
  serve.isCut = true;
  await change('shop', {
    rayClusterConfig: { ...clusterOf('2'), workerGroupSpecs: [group(2, { rayStartParams: { 'num-cpus': '2' } })] },
  });
  await ground.settled(active, 2, patienceMs);
  const { status } = await get('shop');
  expect(status).toMatchObject({ serviceStatus: 'Running', activeServiceStatus: { rayClusterName: active } });
  serve.isCut = false;
  await until('three pods serve', patienceMs, async () => (await get('shop')).status?.numServeEndpoints === 3);
});

test('without an upgrade strategy nothing is replaced, and a suspended service holds nothing', async () => {
  await create('fixed', { upgradeStrategy: { type: 'None' }, excludeHeadPodFromServeSvc: true });
  const active = await serving('fixed');
  expect((await get('fixed')).status?.numServeEndpoints).toBe(1);
  await change('fixed', { rayClusterConfig: clusterOf('4') });
  await until('it is seen', patienceMs, async () => {
    const { metadata, status } = await get('fixed');
    return status?.observedGeneration === metadata.generation;
  });
  expect((await get('fixed')).status?.pendingServiceStatus).toBeUndefined();
  await change('fixed', { suspend: true });
  await until('suspended', patienceMs, async () => (await condition('fixed', 'Suspended'))?.status === 'True');
  await ground.gone(resources.rayClusters, active);
  await ground.gone(resources.services, 'fixed-serve-svc');
  await change('fixed', { suspend: false });
  expect(await serving('fixed')).not.toBe(active);
  await ground.admin.delete(resources.rayServices, await get('fixed'));
  await ground.gone(resources.services, 'fixed-serve-svc');
});

test('a bad spec is told, and all of this went under the operator’s roles', async () => {
  await create('bad', { serveConfigV2: 'applications: 5' });
  await until('the condition', patienceMs, async () => (await condition('bad', 'SpecValid'))?.status === 'False');
  expect((await condition('bad', 'SpecValid'))?.message).toMatch(/^serveConfigV2: /);
  expect(operator.lines.filter(line => JSON.stringify(line).includes('is forbidden: User'))).toEqual([]);
});
