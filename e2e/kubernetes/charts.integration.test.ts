/** The charts on a real API server: it takes what Helm renders, and the operator works with the rights that the chart gives. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { boardFile, boardJson, boards, readRules } from '@iocloud/dashboards';
import { collectionPath, objectPath, type RayCluster, resources } from '@iocloud/ray-operator';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Bed } from './bed.js';
import { type ChartName, lint, prometheusKinds, type Release, render, renderable, valueSets } from './charts.js';
import { group } from './ground.js';
import { OperatorProcess, operatorNamespace } from './operator-process.js';

let bed: Bed;
const copies = {} as Record<ChartName, string>;

/** Pods that Kubernetes' strictest standard does not take are refused here. */
const namespace = (name: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
});

beforeAll(async () => {
  bed = await Bed.start({
    kwok: true,
    prepare: async starting => {
      const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
      const items = [
        namespace(operatorNamespace, restricted),
        namespace('iocloud', restricted),
        namespace('team'),
        ...prometheusKinds,
      ];
      const file = join(starting.directory, 'prepared.json');
      await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      await starting.apply(file);
      copies['ray-operator'] = await renderable('ray-operator', starting.directory);
      copies.iocloud = await renderable('iocloud', starting.directory);
      // The chart brings it, too; but of a kind that comes later the API server's admission knows only after half a minute.
      await starting.apply(join(copies['ray-operator'], 'files', 'crd'));
    },
  });
  await bed.addNodes(2);
  const kinds = prometheusKinds.map(({ metadata }) => `crd/${metadata.name}`);
  await bed.kubectl('wait', '--for=condition=Established', ...kinds, '--timeout=30s');
});

afterAll(async () => {
  await bed?.stop();
});

const releaseNames: Record<ChartName, [name: string, namespace: string]> = {
  'ray-operator': ['ray-operator', operatorNamespace],
  iocloud: ['iocloud', 'iocloud'],
};

const rendered = (chart: ChartName, values: Record<string, unknown>): Promise<Release> =>
  render(copies[chart], ...releaseNames[chart], values);

const cases = (Object.keys(valueSets) as ChartName[]).flatMap(chart =>
  Object.entries(valueSets[chart]).map(([set, values]) => ({ chart, set, values })),
);

test.each(cases)('the API server takes $chart with $set', async ({ chart, values }) => {
  expect(await lint(copies[chart], values)).toContain('0 chart(s) failed');
  const { file, objects } = await rendered(chart, values);
  const taken = await bed.kubectl('apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', file);
  expect(taken.trim().split('\n')).toHaveLength(objects.length);
});

test.each<[ChartName, Record<string, unknown>, RegExp]>([
  ['ray-operator', { replicaCount: 0 }, /replicaCount/],
  ['ray-operator', { settings: { concurrency: 0 } }, /concurrency/],
  ['ray-operator', { watchNamespaces: 'team' }, /watchNamespaces/],
  ['iocloud', { replicaCount: 2 }, /replicaCount/],
  ['iocloud', { settings: { DATABASE_URL: 'postgres://user:password@db/iocloud' } }, /DATABASE_URL/],
  ['iocloud', { settings: { IOCLOUD_HTTP_PORT: 80 } }, /the chart sets it/],
  ['iocloud', { ingress: { enabled: true } }, /hosts/],
  ['iocloud', { redis: { bundled: true }, secrets: { existingSecret: 'mine' } }, /usersExistingSecret/],
])('%s refuses %j by its name', async (chart, values, name) => {
  await expect(rendered(chart, values)).rejects.toThrow(name);
});

test('what is bundled is found under the name and with the Secret that its chart gives', async () => {
  const { objects } = await rendered('iocloud', valueSets.iocloud['databases of its own'] ?? {});
  const made = objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
  expect(made.sort()).toEqual(['iocloud-postgresql', 'iocloud-valkey']);
  const given = objects.find(({ metadata }) => metadata.name === 'iocloud-postgresql')?.data?.values ?? '{}';
  expect(JSON.parse(given)).toMatchObject({ cluster: { initdb: { database: 'iocloud', owner: 'iocloud' } } });
  const environment = JSON.stringify(objects.find(({ kind }) => kind === 'StatefulSet'));
  expect(environment).toContain(
    '{"name":"DATABASE_URL","valueFrom":{"secretKeyRef":{"name":"iocloud-postgresql-app","key":"uri"}}}',
  );
  expect(environment).toContain('redis://default:$(REDIS_PASSWORD)@iocloud-valkey:6379');
});

test('no release holds a secret: not one is made by a chart', async () => {
  const all = await Promise.all(cases.map(({ chart, values }) => rendered(chart, values)));
  expect(all.flatMap(({ objects }) => objects).filter(({ kind }) => kind === 'Secret')).toEqual([]);
});

test('the pod of the control plane keeps to the strictest standard for pods', async () => {
  const { file } = await rendered('iocloud', valueSets.iocloud.defaults ?? {});
  await bed.apply(file);
  await until('its pod is made', 30_000, async () => {
    const pods = await bed.kubectl('-n', 'iocloud', 'get', 'pods', '-o', 'name');
    return pods.includes('pod/iocloud-0');
  });
  await bed.kubectl('delete', '-f', file, '--wait=false');
});

describe('the operator under the rights of its chart', () => {
  let operator: OperatorProcess | undefined;

  afterEach(async () => {
    await operator?.stop();
  });

  const account = `system:serviceaccount:${operatorNamespace}:ray-operator`;
  const may = async (verb: string, kind: string, where: string) => {
    const answer = bed.kubectl('auth', 'can-i', verb, kind, '-n', where, `--as=${account}`);
    return (await answer.catch((error: { stdout: string }) => error.stdout)).trim() === 'yes';
  };

  /** As in its pod: the variables of the Deployment, but for what only a pod has. */
  const settings = ({ objects }: Release) => {
    const deployment = objects.find(({ kind }) => kind === 'Deployment')?.spec as {
      template: { spec: { containers: { env: { name: string; value?: string }[] }[] } };
    };
    const given = (deployment.template.spec.containers[0]?.env ?? []).flatMap(({ name, value }) =>
      value === undefined ? [] : [[name, value]],
    );
    const { RAY_OPERATOR_SERVICE_ACCOUNT_DIR: _, ...rest } = Object.fromEntries(given);
    return { ...rest, RAY_OPERATOR_METRICS_HOST: '127.0.0.1', RAY_OPERATOR_METRICS_PORT: '0' };
  };

  test.each([
    { set: 'one namespace', cluster: 'team', elsewhere: false },
    { set: 'defaults', cluster: 'default', elsewhere: true },
  ])(
    'with $set it makes a cluster, its autoscaler and its ingress',
    async ({ set, cluster, elsewhere }) => {
      const release = await rendered('ray-operator', valueSets['ray-operator'][set] ?? {});
      await bed.apply(release.file);
      await bed.kubectl('wait', '--for=condition=Established', 'crd/rayclusters.ray.io', '--timeout=30s');
      // Its pods keep to the strictest standard, or they would not be made.
      await bed.kubectl('-n', operatorNamespace, 'rollout', 'status', 'deployment/ray-operator', '--timeout=60s');
      operator = await OperatorProcess.start(bed, settings(release));
      await operator.said('following');
      const admin = await bed.admin();
      const head = { metadata: {}, spec: group(1).template.spec };
      await admin.create<RayCluster>(resources.rayClusters, {
        apiVersion: 'ray.io/v1',
        kind: 'RayCluster',
        metadata: { name: 'proof', namespace: cluster, annotations: { 'kubernetes.io/ingress.class': 'nginx' } },
        spec: {
          enableInTreeAutoscaling: true,
          headGroupSpec: { enableIngress: true, template: head },
          workerGroupSpecs: [group(2)],
        },
      });
      await until('the cluster is ready', 60_000, async () => {
        const found = await admin.get<RayCluster>(objectPath(resources.rayClusters, cluster, 'proof'));
        return found.status?.state === 'ready';
      });
      await admin.get(objectPath(resources.roleBindings, cluster, 'proof-autoscaler'));
      const { items } = await admin.get<{ items: { spec: { ingressClassName?: string } }[] }>(
        collectionPath(resources.ingresses, cluster),
      );
      expect(items.map(({ spec }) => spec.ingressClassName)).toEqual(['nginx']);
      const rights = await Promise.all([
        may('create', 'pods', cluster),
        may('create', 'pods', 'kube-system'),
        may('get', 'secrets', cluster),
        may('get', 'nodes', cluster),
      ]);
      expect(rights).toEqual([true, elsewhere, false, false]);
      expect(operator.errors).toEqual([]);
      await admin.delete(resources.rayClusters, await admin.get(objectPath(resources.rayClusters, cluster, 'proof')));
      await bed.kubectl('-n', operatorNamespace, 'delete', 'deployment/ray-operator', '--wait=false');
      await bed.kubectl('-n', 'team', 'delete', 'role,rolebinding', '-l', 'app.kubernetes.io/name=ray-operator');
    },
    180_000,
  );
});

test('the dashboards and rules of the repository come with the chart, each whole', async () => {
  const { objects } = await rendered('iocloud', valueSets.iocloud.everything ?? {});
  const boardsOf = objects.filter(({ metadata }) => metadata.labels?.grafana_dashboard === '1');
  const files = boardsOf.flatMap(({ data }) => Object.entries(data ?? {}));
  expect(files.map(([name]) => name).sort()).toEqual(boards.map(board => `iocloud-${boardFile(board)}`).sort());
  for (const board of boards) expect(Object.fromEntries(files)[`iocloud-${boardFile(board)}`]).toBe(boardJson(board));
  const rule = objects.find(({ kind }) => kind === 'PrometheusRule');
  const spec = rule?.spec as { groups: { rules: { alert?: string }[] }[] } | undefined;
  const alerts = (spec?.groups ?? []).flatMap(group => group.rules.flatMap(({ alert }) => alert ?? []));
  expect(alerts.sort()).toEqual(
    readRules()
      .alerts.map(({ name }) => name)
      .sort(),
  );
});
