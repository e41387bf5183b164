import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { WorkerGroupSpec } from '../api/raycluster.js';
import { labels } from './names.js';
import { isHead, isLeaving } from './pod-health.js';
import { canonical } from './spec-hash.js';
import { aCluster, aGroup, aTemplate, leaving, readyStatus, TinyKubernetes } from './testing/builders.js';
import { desiredReplicas } from './worker-groups.js';

const workersOf = (world: TinyKubernetes) => world.pods.filter(pod => !isHead(pod) && !isLeaving(pod));

test('a new cluster gets its head first and then its workers', () => {
  const plan = new TinyKubernetes().step(aCluster());
  expect(plan.creations.map(({ metadata }) => metadata.name)).toEqual([
    'demo-head',
    'demo-workers-worker-00000',
    'demo-workers-worker-00001',
  ]);
});

test('an unchanged cluster wants nothing', () => {
  const world = new TinyKubernetes();
  world.settle(aCluster());
  const plan = world.step(aCluster());
  expect([plan.creations, plan.deletions]).toEqual([[], []]);
});

const groups = fc
  .array(
    fc.record({
      replicas: fc.nat(12),
      minReplicas: fc.nat(4),
      spread: fc.nat(10),
      numOfHosts: fc.integer({ min: 1, max: 3 }),
      suspend: fc.boolean(),
    }),
    { maxLength: 3 },
  )
  .map(list =>
    list.map(({ spread, ...fields }, index) =>
      aGroup({ ...fields, groupName: `g${index}`, maxReplicas: fields.minReplicas + spread }),
    ),
  );

/** Whatever befell the pods before. */
const mishaps = fc.array(fc.record({ at: fc.nat(40), what: fc.constantFrom('deleted', 'failed', 'leaving') }), {
  maxLength: 8,
});

test('from whatever there is, every group comes to exactly what its spec says', () => {
  fc.assert(
    fc.property(groups, groups, mishaps, (before, after, befallen) => {
      const world = new TinyKubernetes();
      world.settle(aCluster({ workerGroupSpecs: before }));
      for (const { at, what } of befallen) {
        const index = at % Math.max(1, world.pods.length);
        const pod = world.pods[index];
        if (!pod) continue;
        if (what === 'deleted') world.pods.splice(index, 1);
        else if (what === 'leaving') world.pods[index] = leaving(pod);
        else world.pods[index] = { ...pod, status: { phase: 'Failed' } };
      }
      const cluster = aCluster({ workerGroupSpecs: after });
      world.settle(cluster);
      expect(world.pods.filter(isHead)).toHaveLength(1);
      for (const group of after) expect(countOf(world, group)).toBe(desiredReplicas(group) * group.numOfHosts);
      expect(workersOf(world)).toHaveLength(
        after.reduce((sum, each) => sum + desiredReplicas(each) * each.numOfHosts, 0),
      );
      expect(new Set(world.names()).size).toBe(world.pods.length);
    }),
  );
});

const countOf = (world: TinyKubernetes, { groupName }: WorkerGroupSpec) =>
  workersOf(world).filter(({ metadata }) => metadata.labels?.[labels.group] === groupName).length;

describe('scaling down', () => {
  test('takes those that do no work yet, then the youngest', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster({ workerGroupSpecs: [aGroup({ replicas: 3 })] }));
    const [, first, second, third] = world.pods;
    if (!first || !second || !third) throw new Error('three workers');
    world.pods[1] = { ...first, status: { phase: 'Pending' } };
    const plan = world.plan(aCluster({ workerGroupSpecs: [aGroup({ replicas: 1 })] }));
    expect(plan.deletions.map(({ pod }) => pod.metadata.name)).toEqual([first.metadata.name, third.metadata.name]);
  });

  test('takes whom workersToDelete names, and none besides', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster({ workerGroupSpecs: [aGroup({ replicas: 3 })] }));
    const victim = world.pods[2]?.metadata.name ?? '';
    const group = aGroup({ replicas: 2, scaleStrategy: { workersToDelete: [victim] } });
    const plan = world.step(aCluster({ workerGroupSpecs: [group] }));
    expect(plan.deletions.map(({ pod }) => pod.metadata.name)).toEqual([victim]);
    expect(plan.creations).toEqual([]);
    world.settle(aCluster({ workerGroupSpecs: [group] }));
    expect(workersOf(world)).toHaveLength(2);
  });

  test('is left to the autoscaler where there is one', () => {
    const world = new TinyKubernetes();
    const cluster = (replicas: number) =>
      aCluster({ enableInTreeAutoscaling: true, workerGroupSpecs: [aGroup({ replicas })] });
    world.settle(cluster(3));
    expect(world.plan(cluster(1)).deletions).toEqual([]);
  });
});

test('a head whose Ray has ended is replaced, one whose autoscaler has is not', () => {
  const cluster = aCluster({ enableInTreeAutoscaling: true, autoscalerOptions: { version: 'v2' } });
  const terminated = { reason: 'Error', exitCode: 1 };
  for (const [ended, replaced] of [
    ['ray-head', 1],
    ['autoscaler', 0],
  ] as const) {
    const world = new TinyKubernetes();
    world.settle(cluster);
    const [head] = world.pods;
    if (!head) throw new Error('a head');
    // As the kubelet gives them: by name.
    const containerStatuses = ['autoscaler', 'ray-head'].map(name => ({
      name,
      state: name === ended ? { terminated } : {},
    }));
    world.pods[0] = { ...head, status: { ...readyStatus, containerStatuses } };
    expect([ended, world.plan(cluster).deletions.length]).toEqual([ended, replaced]);
  }
});

describe('a pod that its node does not let go of', () => {
  const stuck = (world: TinyKubernetes, index: number) => {
    const pod = world.pods[index];
    if (pod) world.pods[index] = leaving(pod);
    return Date.parse(world.pods[index]?.metadata.deletionTimestamp ?? '');
  };

  test('holds up the next head until it is late, and is then taken out of the API', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster());
    const endOfGrace = stuck(world, 0);
    world.context.now = endOfGrace + world.context.lateAfterMs - 1;
    expect(world.plan(aCluster())).toMatchObject({ deletions: [], creations: [], lookAgainInMs: 1 });
    world.context.now += 1;
    expect(world.plan(aCluster())).toMatchObject({
      deletions: [{ pod: { metadata: { name: 'demo-head' } }, force: true }],
      creations: [],
    });
  });

  test('stays in the API for as long as nothing waits for it', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster());
    world.context.now = stuck(world, 1) + 2 * world.context.lateAfterMs;
    const plan = world.plan(aCluster());
    expect(plan.deletions).toEqual([]);
    expect(plan.creations).toHaveLength(1);
    const suspended = world.plan(aCluster({ suspend: true }));
    expect(suspended.deletions.filter(({ force }) => force)).toHaveLength(1);
  });
});

test('a worker whose container ended for good is replaced even while a sidecar lives on', () => {
  const world = new TinyKubernetes();
  const cluster = aCluster({ enableInTreeAutoscaling: true, autoscalerOptions: { version: 'v2' } });
  world.settle(cluster);
  const pod = world.pods[1];
  if (!pod) throw new Error('a worker');
  const terminated = { reason: 'Error', exitCode: 1 };
  world.pods[1] = {
    ...pod,
    status: { ...readyStatus, containerStatuses: [{ name: 'ray-worker', state: { terminated } }] },
  };
  const plan = world.step(cluster);
  expect(plan.deletions).toMatchObject([{ reason: 'its Ray container ended (Error 1)' }]);
  expect(plan.creations).toHaveLength(1);
});

test('a replica of several hosts lives and dies as one', () => {
  const world = new TinyKubernetes();
  const cluster = aCluster({ workerGroupSpecs: [aGroup({ replicas: 2, numOfHosts: 3 })] });
  world.settle(cluster);
  const lost = world.pods.find(pod => !isHead(pod));
  world.pods = world.pods.filter(pod => pod !== lost);
  const plan = world.step(cluster);
  const replica = lost?.metadata.labels?.[labels.replicaName];
  expect(plan.deletions.map(({ pod }) => pod.metadata.labels?.[labels.replicaName])).toEqual([replica, replica]);
  world.settle(cluster);
  expect(workersOf(world)).toHaveLength(6);
});

test('a suspended cluster loses its pods, and a resumed one gets them again', () => {
  const world = new TinyKubernetes();
  world.settle(aCluster());
  world.settle(aCluster({ suspend: true }));
  expect(world.pods).toEqual([]);
  world.settle(aCluster());
  expect(world.pods).toHaveLength(3);
});

describe('a changed pod template', () => {
  const changed = (type: 'Recreate' | 'None') =>
    aCluster({
      upgradeStrategy: { type },
      headGroupSpec: { template: aTemplate('ray-head', { cpu: '16', memory: '8Gi' }) },
    });

  test('replaces all pods where Recreate asks for it, old ones first', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster());
    const old = world.pods.map(({ metadata }) => metadata.uid);
    const plan = world.step(changed('Recreate'));
    expect(plan.deletions).toHaveLength(3);
    expect(plan.creations).toEqual([]);
    world.settle(changed('Recreate'));
    expect(world.pods).toHaveLength(3);
    expect(world.pods.filter(({ metadata }) => old.includes(metadata.uid))).toEqual([]);
  });

  test('leaves the pods that run otherwise', () => {
    const world = new TinyKubernetes();
    world.settle(aCluster());
    expect(world.plan(changed('None')).deletions).toEqual([]);
  });

  test('scaling is none', () => {
    const world = new TinyKubernetes();
    const cluster = (replicas: number) =>
      aCluster({ upgradeStrategy: { type: 'Recreate' }, workerGroupSpecs: [aGroup({ replicas })] });
    world.settle(cluster(2));
    expect(world.step(cluster(4))).toMatchObject({ deletions: [], creations: [{}, {}] });
  });
});

test('a bad spec changes nothing and says what is bad', () => {
  const world = new TinyKubernetes();
  world.settle(aCluster());
  const plan = world.plan(aCluster({ workerGroupSpecs: [aGroup({ minReplicas: 5, maxReplicas: 1 }), aGroup()] }));
  expect(plan).toMatchObject({ creations: [], deletions: [], applies: [] });
  expect(plan.problems).toEqual([
    'workerGroupSpecs[workers]: minReplicas (5) is above maxReplicas (1)',
    'workerGroupSpecs: the name workers is used more than once',
  ]);
});

test('equal specs are one text in whatever order their keys come', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), value => {
      const turned = Object.fromEntries(Object.entries(value).reverse());
      expect(canonical(turned)).toBe(canonical(value));
    }),
  );
});
