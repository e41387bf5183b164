/** MegaRayClusters on two real API servers, the operators as processes under their own roles; KWOK plays the kubelets. */
import { collectionPath, isNotFound, labels, type ObjectList, type Pod, resources } from '@iocloud/ray-operator';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { CellWatch, cellGroup, isWhole, MegaGround } from './mega-ground.js';
import { OperatorProcess } from './operator-process.js';

let ground: MegaGround;
let operator: OperatorProcess;
const operators: OperatorProcess[] = [];

beforeAll(async () => {
  ground = await MegaGround.make();
  operator = await ground.startHome();
  operators.push(operator, await OperatorProcess.start(ground.west));
  await Promise.all(operators.map(each => each.said('following')));
  await operator.said('following a member cluster');
});

afterAll(async () => {
  await Promise.all(operators.map(each => each.stop()));
  await ground?.stop();
});

const names = async (mega: string) => (await ground.cells(mega)).map(({ metadata }) => metadata.name).sort();
const gone = (name: string) =>
  until(`${name} is gone`, 60_000, () =>
    ground.get(name).then(
      () => false,
      (error: unknown) => isNotFound(error),
    ),
  );

test('cells come up spread over the zones, are listed, and go with it', async () => {
  const places = [{ kubernetesCluster: 'local', domains: ['zone-0', 'zone-1', 'zone-2'] }];
  await ground.create('life', { replicas: 3, cellGroups: [cellGroup({ places })] });
  const { status } = await ground.settled('life', 3);
  expect(status).toMatchObject({ desiredWorkers: 3, readyWorkers: 3, desiredGPU: '0' });
  for (const { name, headService, domain } of status?.cells ?? []) {
    const query = { labelSelector: `${labels.cluster}=${name}` };
    const { items } = await ground.admin.get<ObjectList<Pod>>(collectionPath(resources.pods, 'default'), query);
    expect(items).toHaveLength(2);
    for (const { spec } of items) expect(`zone-${Number(spec?.nodeName?.slice(-4)) % 3}`).toBe(domain);
    const services = await ground.home.kubectl('get', 'service', headService);
    expect(services).toContain(headService);
  }
  expect(new Set(status?.cells?.map(({ domain }) => domain)).size).toBe(3);
  const table = await ground.home.kubectl('get', 'megaraycluster', 'life');
  expect(table.split('\n')[0]?.split(/\s{2,}/)).toEqual([
    'NAME',
    'DESIRED',
    'CELLS',
    'READY',
    'UPDATED',
    'UNAVAILABLE',
    'GPUS',
    'AVAILABLE',
    'AGE',
  ]);
  expect(table).toMatch(/life\s+3\s+3\s+3\s+3\s+0\s+0\s+True/);
  await until('the event', 20_000, async () =>
    (await ground.home.kubectl('get', 'events', '--field-selector', 'reason=CreatedCell')).includes('made 3 cells'),
  );
  await ground.remove('life');
  await gone('life');
  await until('its cells are gone', 60_000, async () => (await ground.cells('life')).length === 0);
});

test('it is scaled by cells, up to more and down to those that were there before; suspended and resumed', async () => {
  await ground.create('scale', { replicas: 1 });
  await ground.settled('scale', 1);
  const first = await names('scale');
  await ground.home.kubectl('scale', 'megaraycluster', 'scale', '--replicas=3');
  await ground.settled('scale', 3);
  await ground.home.kubectl('scale', 'megaraycluster', 'scale', '--replicas=1');
  await ground.settled('scale', 1);
  expect(await names('scale')).toEqual(first);
  await ground.change('scale', { suspend: true });
  await until('suspended', 60_000, async () => (await ground.condition('scale', 'Suspended'))?.status === 'True');
  await ground.change('scale', { suspend: false });
  await ground.settled('scale', 1);
  expect(await names('scale')).toEqual(first);
  await ground.remove('scale');
});

test('a cell that is lost or stays broken is replaced, the others are left alone', async () => {
  const health = { replaceBrokenAfterSeconds: 2 };
  // As long as a name may be: cells still get names of their own.
  const mega = `broken-${'x'.repeat(56)}`;
  await ground.create(mega, { replicas: 3, health });
  await ground.settled(mega, 3);
  const [lost = '', stuck = '', well = ''] = await names(mega);
  await ground.home.kubectl('delete', 'raycluster', lost, '--wait=false');
  const nowhere = { headGroupSpec: { template: { spec: { nodeSelector: { type: 'none' } } } } };
  await ground.home.kubectl('patch', 'raycluster', stuck, '--type=merge', '-p', JSON.stringify({ spec: nowhere }));
  await ground.home.kubectl('delete', 'pod', `${stuck}-head`, '--wait=false');
  await until('both are replaced', 60_000, async () => {
    const now = await names(mega);
    return now.length === 3 && !now.includes(lost) && !now.includes(stuck);
  });
  await ground.settled(mega, 3);
  expect(await names(mega)).toContain(well);
  await ground.remove(mega);
});

test('a rollout keeps its budget at every moment, though the operator is killed amid it', async () => {
  await ground.create('roll', { replicas: 4, rollout: { maxUnavailable: 1, maxSurge: 1 } });
  await ground.settled('roll', 4);
  const before = await names('roll');
  const watch = await CellWatch.start(ground.admin, 'roll');
  await ground.change('roll', { cellGroups: [cellGroup({}, 'rayproject/ray:next')] });
  await until(
    'a part of it',
    60_000,
    async () => (await names('roll')).filter(name => !before.includes(name)).length >= 2,
    20,
  );
  await operator.kill();
  const left = await names('roll');
  expect(left.filter(name => before.includes(name)).length).toBeGreaterThan(0);
  operator = await ground.startHome();
  operators.push(operator);
  await ground.settled('roll', 4);
  await watch.stop();
  expect((await names('roll')).filter(name => before.includes(name))).toEqual([]);
  expect(watch.leastWhole).toBeGreaterThanOrEqual(3);
  expect(watch.most).toBeLessThanOrEqual(5);
  await ground.remove('roll');
});

test('cells of a Kubernetes cluster that falls silent are made elsewhere after their time, and none is too many after', async () => {
  const places = [{ kubernetesCluster: 'local' }, { kubernetesCluster: 'west' }];
  const health = { replaceUnreachableAfterSeconds: 4 };
  await operator.said('following a member cluster');
  await ground.create('two', { replicas: 4, health, cellGroups: [cellGroup({ places })] });
  const { metadata } = await ground.settled('two', 4);
  expect(metadata.finalizers).toEqual(['mega.iocloud.io/cells-in-members']);
  const [home, west] = [await names('two'), await ground.cells('two', ground.westAdmin)];
  expect([home.length, west.length]).toEqual([2, 2]);
  expect(west.every(isWhole)).toBe(true);
  await ground.west.killApiServer();
  const unknown = await until('they are unknown', 60_000, async () => {
    const cells = (await ground.get('two')).status?.cells?.filter(({ state }) => state === 'Unknown');
    return cells?.length === 2 ? { cells, homeCells: await names('two') } : null;
  });
  expect(unknown.cells.map(({ kubernetesCluster }) => kubernetesCluster)).toEqual(['west', 'west']);
  expect(await ground.condition('two', 'Degraded')).toMatchObject({ reason: 'KubernetesClusterUnreachable' });
  await until('they are made at home', 60_000, async () => (await ground.cells('two')).filter(isWhole).length === 4);
  const since = Date.parse(unknown.cells[0]?.since ?? '');
  const made = (await ground.cells('two')).filter(cell => !home.includes(cell.metadata.name));
  for (const cell of made) {
    expect(Date.parse(cell.metadata.creationTimestamp ?? '') - since).toBeGreaterThanOrEqual(3_000);
  }
  await ground.west.startApiServer();
  await ground.settled('two', 4);
  expect(await names('two')).toEqual(home);
  expect(await ground.cells('two', ground.westAdmin)).toHaveLength(2);
  await ground.remove('two');
  await gone('two');
  expect(await ground.cells('two', ground.westAdmin)).toEqual([]);
});

test('a bad spec is told in a condition and an event; what the schema forbids is refused', async () => {
  await ground.create('bad', { cellGroups: [cellGroup({ minReplicas: 3, maxReplicas: 2 })] });
  await until('the condition', 20_000, async () => (await ground.condition('bad', 'SpecValid'))?.status === 'False');
  const problem = 'cellGroups[small]: minReplicas (3) is above maxReplicas (2)';
  expect((await ground.condition('bad', 'SpecValid'))?.message).toContain(problem);
  await until('the event', 20_000, async () =>
    (await ground.home.kubectl('get', 'events', '--field-selector', 'reason=InvalidMegaRayClusterSpec')).includes(
      problem,
    ),
  );
  expect(await ground.cells('bad')).toEqual([]);
  await expect(ground.create('never', { replicas: 10_001 })).rejects.toThrow(/replicas/);
  await expect(ground.create('never', { cellGroups: [] })).rejects.toThrow(/cellGroups/);
});

test('all of it went well under the roles as they are handed out', () => {
  const lines = operators.flatMap(each => each.lines);
  expect(lines.filter(line => JSON.stringify(line).includes('is forbidden: User'))).toEqual([]);
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});
