import { expect, test } from '@jest/globals';
import type { RayClusterStatus } from '../api/raycluster.js';
import type { Pod, RayCluster } from './kubernetes-objects.js';
import { isHead } from './pod-health.js';
import { statusOf } from './status.js';
import { aCluster, aGroup, aTemplate, generation, TinyKubernetes } from './testing/builders.js';

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`;

function look(cluster: RayCluster, pods: Pod[], now = at(0), failure?: { reason: string; message: string }) {
  return statusOf({ cluster, pods, headService: undefined, problems: [], failure, now });
}

const condition = (status: RayClusterStatus, type: string) => status.conditions?.find(each => each.type === type);

function running(cluster: RayCluster): Pod[] {
  const world = new TinyKubernetes();
  world.settle(cluster);
  return world.pods;
}

test('a cluster whose pods are all ready is ready, and says what it has', () => {
  const group = aGroup({ template: aTemplate('ray-worker', { cpu: '1500m', memory: '1Gi', 'nvidia.com/gpu': '2' }) });
  const cluster = aCluster({ workerGroupSpecs: [group] });
  const status = look(cluster, running(cluster));
  expect(status).toMatchObject({
    state: 'ready',
    observedGeneration: generation,
    desiredWorkerReplicas: 2,
    readyWorkerReplicas: 2,
    desiredCPU: '7',
    desiredMemory: '10Gi',
    desiredGPU: '4',
    head: { podName: 'demo-head', podIP: '10.0.0.1', serviceName: 'demo-head-svc' },
    stateTransitionTimes: { ready: at(0) },
  });
  expect(status.conditions?.every(({ observedGeneration }) => observedGeneration === generation)).toBe(true);
});

test('once provisioned it stays so; what the head does is told apart from that', () => {
  const cluster = aCluster();
  const pods = running(cluster);
  const before = look(cluster, pods, at(0));
  const headless = pods.filter(pod => !isHead(pod));
  const after = look({ ...cluster, status: before }, headless, at(9));
  expect(condition(after, 'RayClusterProvisioned')).toMatchObject({ status: 'True', lastTransitionTime: at(0) });
  expect(condition(after, 'HeadPodReady')).toMatchObject({
    status: 'False',
    reason: 'HeadPodNotFound',
    lastTransitionTime: at(9),
  });
});

test('a pod that cannot start says why in the condition', () => {
  const cluster = aCluster();
  const [head, ...workers] = running(cluster);
  if (!head) throw new Error('a head');
  const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };
  const stuck = {
    ...head,
    status: { phase: 'Pending', containerStatuses: [{ name: 'ray-head', state: { waiting } }] },
  };
  const status = look(cluster, [stuck, ...workers]);
  expect(condition(status, 'HeadPodReady')).toMatchObject({ reason: 'ImagePullBackOff', message: 'no such image' });
  expect(condition(status, 'RayClusterProvisioned')?.message).toContain('demo-head: ImagePullBackOff');
  expect(status.state).toBeUndefined();
});

test('a suspension runs to its end even if it is called off on the way', () => {
  const cluster = aCluster();
  const pods = running(cluster);
  const suspending = look({ ...cluster, spec: { ...cluster.spec, suspend: true } }, pods);
  expect(condition(suspending, 'RayClusterSuspending')?.status).toBe('True');
  const world = new TinyKubernetes();
  world.pods = pods;
  world.settle({ ...cluster, status: suspending });
  expect(world.pods).toEqual([]);
  const suspended = look({ ...cluster, status: suspending }, []);
  expect(suspended.state).toBe('suspended');
  expect(condition(suspended, 'RayClusterSuspended')?.status).toBe('True');
  const resumed = look({ ...cluster, status: suspended }, []);
  expect(condition(resumed, 'RayClusterSuspended')?.status).toBe('False');
  expect(resumed.state).toBeUndefined();
});

test('a failure to make pods is a condition, and leaves when it is over', () => {
  const cluster = aCluster();
  const failure = { reason: 'FailedCreateWorkerPod', message: 'exceeded quota' };
  const failed = look(cluster, [], at(1), failure);
  expect(condition(failed, 'ReplicaFailure')).toMatchObject({ status: 'True', ...failure });
  const later = look({ ...cluster, status: failed }, [], at(2));
  expect(condition(later, 'ReplicaFailure')).toMatchObject({ status: 'False', lastTransitionTime: at(2) });
});

test('a bad spec is a condition of its own, and the counts stay', () => {
  const cluster = aCluster();
  const before = look(cluster, running(cluster));
  const input = { cluster: { ...cluster, status: before }, pods: [], headService: undefined, failure: undefined };
  const status = statusOf({ ...input, problems: ['this is bad'], now: at(5) });
  expect(condition(status, 'SpecValid')).toMatchObject({
    status: 'False',
    reason: 'InvalidSpec',
    message: 'this is bad',
  });
  expect(status.readyWorkerReplicas).toBe(2);
});
