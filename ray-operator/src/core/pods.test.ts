import { describe, expect, test } from '@jest/globals';
import { tokenSecret } from './authentication.js';
import { autoscalerAccess } from './autoscaler.js';
import type { RayCluster } from './kubernetes-objects.js';
import { headPod, workerPod } from './pods.js';
import { headService } from './services.js';
import { aCluster, aGroup, aTemplate } from './testing/builders.js';

const options = { specHash: 'hash', waitForHead: true };

interface BuiltContainer {
  name: string;
  command: string[];
  args: string[];
  env: { name: string; value?: string; valueFrom?: unknown }[];
  volumeMounts: { name: string; mountPath: string }[];
}
interface BuiltSpec {
  containers: BuiltContainer[];
  initContainers: BuiltContainer[];
  volumes: { name: string }[];
  serviceAccountName?: string;
  restartPolicy?: string;
  subdomain?: string;
}

const specOf = (manifest: unknown) => (manifest as { spec: BuiltSpec }).spec;
const worker = (cluster: RayCluster, group = aGroup()) => workerPod(cluster, group, { name: 'demo-w-1' }, options);
const envOf = (manifest: unknown, container = 0) =>
  Object.fromEntries((specOf(manifest).containers[container]?.env ?? []).map(({ name, ...rest }) => [name, rest]));

test('pods carry the labels by which users, services and the autoscaler find them', () => {
  expect(worker(aCluster()).metadata).toMatchObject({
    namespace: 'team',
    labels: {
      'ray.io/cluster': 'demo',
      'ray.io/node-type': 'worker',
      'ray.io/group': 'workers',
      'ray.io/is-ray-node': 'yes',
    },
    ownerReferences: [{ kind: 'RayCluster', uid: 'uid-demo', controller: true }],
  });
  const head = headPod(aCluster(), options);
  expect(head.metadata.name).toBe('demo-head');
  const { selector } = (headService(aCluster()) as unknown as { spec: { selector: Record<string, string> } }).spec;
  expect(head.metadata.labels).toMatchObject(selector);
});

test('a worker knows the head by the name of its service, and waits for it', () => {
  const pod = worker(aCluster());
  const host = 'demo-head-svc.team.svc.cluster.local';
  expect(envOf(pod)).toMatchObject({
    FQ_RAY_IP: { value: host },
    RAY_PORT: { value: '6379' },
    RAY_ADDRESS: { value: `${host}:6379` },
  });
  expect(specOf(pod).initContainers.at(-1)).toMatchObject({ name: 'wait-gcs-ready' });
});

test("what the user's container says comes before ray start, and what it sets stays set", () => {
  const template = aTemplate('ray-worker');
  const container = {
    ...template.spec.containers[0],
    command: ['echo'],
    args: ['ready'],
    env: [{ name: 'RAY_PORT', value: '7' }],
  };
  const group = aGroup({ template: { spec: { containers: [{ name: 'ray-worker', ...container }] } } });
  const [built] = specOf(worker(aCluster(), group)).containers;
  expect(built?.command).toEqual(['/bin/bash', '-c', '--']);
  expect(built?.args[0]).toMatch(/^echo ready && ulimit -n 65536; ray start /);
  expect(built?.env.filter(({ name }) => name === 'RAY_PORT')).toEqual([{ name: 'RAY_PORT', value: '7' }]);
});

test('the command is left alone where the user asks for that, and handed over in the environment', () => {
  const cluster = aCluster({}, { annotations: { 'ray.io/overwrite-container-cmd': 'true' } });
  const pod = worker(cluster);
  expect(specOf(pod).containers[0]?.command).toBeUndefined();
  expect(envOf(pod).KUBERAY_GEN_RAY_START_CMD?.value).toContain('ray start --address=');
});

describe('token authentication', () => {
  const token = { secretKeyRef: { name: 'demo', key: 'auth_token' } };

  test('is on by itself, with a Secret of the cluster', () => {
    const cluster = aCluster();
    for (const pod of [headPod(cluster, options), worker(cluster)]) {
      expect(envOf(pod)).toMatchObject({ RAY_AUTH_MODE: { value: 'token' }, RAY_AUTH_TOKEN: { valueFrom: token } });
    }
    expect(tokenSecret(cluster, () => 'secret')).toMatchObject({
      metadata: { name: 'demo', ownerReferences: [{ uid: 'uid-demo' }] },
      stringData: { auth_token: 'secret' },
    });
    expect(specOf(worker(cluster)).initContainers[0]?.env).toContainEqual({ name: 'RAY_AUTH_TOKEN', valueFrom: token });
  });

  test.each([{ authOptions: { mode: 'disabled' as const } }, { rayVersion: '2.51.2' }])('is off with %j', spec => {
    expect(envOf(headPod(aCluster(spec), options)).RAY_AUTH_MODE).toBeUndefined();
    expect(tokenSecret(aCluster(spec), () => 'secret')).toBeUndefined();
  });

  test("takes the user's Secret where one is named", () => {
    const cluster = aCluster({ authOptions: { secretName: 'mine' } });
    expect(envOf(headPod(cluster, options)).RAY_AUTH_TOKEN).toMatchObject({
      valueFrom: { secretKeyRef: { name: 'mine' } },
    });
    expect(tokenSecret(cluster, () => 'secret')).toBeUndefined();
  });
});

describe('the autoscaler', () => {
  const cluster = aCluster({ enableInTreeAutoscaling: true, autoscalerOptions: { version: 'v2' } });

  test('runs beside the head with an account of its own', () => {
    const spec = specOf(headPod(cluster, options));
    expect(spec.containers[1]).toMatchObject({ name: 'autoscaler', image: 'rayproject/ray:2.60.0' });
    expect(spec.serviceAccountName).toBe('demo-autoscaler');
    expect(envOf(headPod(cluster, options), 1)).toMatchObject({ RAY_CLUSTER_NAMESPACE: { value: 'team' } });
    expect(
      spec.containers.every(({ volumeMounts }) => volumeMounts.some(({ mountPath }) => mountPath === '/tmp/ray')),
    ).toBe(true);
    expect(spec.restartPolicy).toBe('Never');
    expect(specOf(worker(cluster)).restartPolicy).toBe('Never');
  });

  test('may change its own cluster and no other', () => {
    const role = autoscalerAccess(cluster).find(({ kind }) => kind === 'Role') as unknown as {
      rules: { resources: string[]; resourceNames?: string[]; verbs: string[] }[];
    };
    const writing = role.rules.filter(({ verbs }) => verbs.some(verb => !['get', 'list', 'watch'].includes(verb)));
    expect(writing).toEqual([expect.objectContaining({ resources: ['rayclusters'], resourceNames: ['demo'] })]);
    expect(autoscalerAccess(aCluster())).toEqual([]);
  });
});

test('fault tolerance gives the head its Redis and the workers patience', () => {
  const redisPassword = { valueFrom: { secretKeyRef: { name: 'redis', key: 'password' } } };
  const cluster = aCluster({ gcsFaultToleranceOptions: { redisAddress: 'redis:6379', redisPassword } });
  const head = headPod(cluster, options);
  expect(envOf(head)).toMatchObject({
    RAY_REDIS_ADDRESS: { value: 'redis:6379' },
    RAY_external_storage_namespace: { value: 'uid-demo' },
    REDIS_PASSWORD: redisPassword,
  });
  expect(specOf(head).containers[0]?.args[0]).toContain('--redis-password=$REDIS_PASSWORD');
  expect(envOf(worker(cluster))).toMatchObject({ RAY_gcs_rpc_server_reconnect_timeout_s: { value: '600' } });
});
