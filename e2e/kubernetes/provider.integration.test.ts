/**
 * The control plane's provider on a real API server, under exactly the rights that its manifest gives it. The operator makes
 * the pods, and KWOK plays the kubelets: pods become ready and nothing runs in them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  collectionPath,
  isNotFound,
  labels,
  type Manifest,
  type ObjectList,
  objectPath,
  type Pod,
  type RayCluster,
  resources,
} from '@iocloud/ray-operator';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Stack, until } from '../src/harness/index.js';
import { Ground } from './ground.js';
import { OperatorProcess } from './operator-process.js';

jest.setTimeout(180_000);

const namespace = 'renters';
const h100 = { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3', 'nvidia.com/gpu.memory': '81559' };
const scratch = mkdtempSync(join(tmpdir(), 'iocloud-provider-'));
let ground: Ground;
let operator: OperatorProcess;
let stack: Stack;

beforeAll(async () => {
  ground = await Ground.make(3);
  await ground.bed.kubectl('create', 'namespace', namespace);
  for (const [key, value] of Object.entries(h100))
    await ground.bed.kubectl('label', 'nodes', '--all', `${key}=${value}`);
  operator = await OperatorProcess.start(ground.bed);
  await operator.said('following');
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
});
afterAll(async () => {
  await stack?.stop();
  await operator?.stop();
  await ground?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** A kubeconfig of the account that the manifest makes. */
async function kubeconfig(): Promise<string> {
  const account = await ground.bed.serviceAccount(namespace, 'iocloud-provider');
  const directory = account.RAY_OPERATOR_SERVICE_ACCOUNT_DIR ?? '';
  const file = join(scratch, 'kubeconfig');
  const config = {
    'current-context': 'it',
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it', namespace } }],
    clusters: [
      { name: 'it', cluster: { server: ground.bed.server, 'certificate-authority': join(directory, 'ca.crt') } },
    ],
    users: [{ name: 'it', user: { tokenFile: join(directory, 'token') } }],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

const pods = async (selector: string): Promise<Pod[]> =>
  (await ground.admin.get<ObjectList<Pod>>(collectionPath(resources.pods, namespace), { labelSelector: selector }))
    .items;
const rayClusters = async (): Promise<RayCluster[]> =>
  (await ground.admin.get<ObjectList<RayCluster>>(collectionPath(resources.rayClusters, namespace))).items;
// biome-ignore lint/suspicious/noExplicitAny: the API's own shape
const nodes = async (): Promise<any[]> => (await stack.call('GET', '/v1/nodes')).body.items;
const kubernetesNodes = async () => (await nodes()).filter(({ providerId }) => providerId !== null);
const gpuCluster = { requirements: { accelerators: ['H100'] }, head: { cpus: 2, gpus: 1, memoryBytes: 2 ** 31 } };

describe('registration', () => {
  test('a cluster that lacks rights is refused, with a line for each', async () => {
    await ground.bed.kubectl('-n', namespace, 'create', 'serviceaccount', 'iocloud-provider');
    const answer = await stack.iocloud(
      'provider',
      'add',
      'kubernetes',
      '--name',
      'site',
      '--kubeconfig',
      await kubeconfig(),
    );
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain('no right to list nodes in the whole cluster');
    expect(answer.stderr).toContain(`no right to create rayclusters of ray.io in the namespace ${namespace}`);
    expect(await stack.read('provider', 'list')).toEqual([]);
  });

  test('with the rights of the manifest it is added; what proves us is never shown again', async () => {
    const manifest = join(scratch, 'manifest.yaml');
    await writeFile(manifest, await stack.said('provider', 'manifest', 'kubernetes', '--namespace', namespace));
    await ground.bed.kubectl('apply', '-f', manifest);
    const file = await kubeconfig();
    const added = await stack.said('provider', 'add', 'kubernetes', '--name', 'site', '--kubeconfig', file);
    expect(added).toContain('not proven');
    const shown = await stack.said('provider', 'show', 'site', '--json');
    const { users } = JSON.parse(await readFile(file, 'utf8'));
    const token = (await readFile(users[0].user.tokenFile, 'utf8')).trim();
    expect(shown).not.toContain(token);
    expect(stack.logs()).not.toContain(token);
    expect(JSON.parse(shown)).toMatchObject({ name: 'site', namespace, lacking: [], server: ground.bed.server });
  });

  test('another tenant neither sees nor removes it', async () => {
    const other = await stack.call('POST', '/v1/tenants', { name: 'other' });
    expect(other.status).toBe(201);
    const headers = { authorization: `Bearer ${other.body.apiKey.secret}` };
    const [mine] = await stack.read<{ id: string }[]>('provider', 'list');
    expect((await stack.call('GET', '/v1/providers', undefined, headers)).body).toMatchObject({ items: [] });
    expect((await stack.call('GET', `/v1/providers/${mine?.id}`, undefined, headers)).status).toBe(404);
    expect((await stack.call('DELETE', `/v1/providers/${mine?.id}`, undefined, headers)).status).toBe(404);
  });
});

describe('machines', () => {
  test('each node is one, with its accelerators by the table of models, its zone, and nothing taken by others', async () => {
    const found = await until('three machines', 60_000, async () => {
      const machines = (await kubernetesNodes()).filter(({ state }) => state === 'online');
      return machines.length === 3 ? machines : null;
    });
    const [machine] = found.sort((one, other) => (one.name < other.name ? -1 : 1));
    expect(machine).toMatchObject({
      name: 'site-kwok-0000',
      terms: { domain: 'zone-0' },
      inventory: { cpus: 192, isolation: 'container', rayVersions: ['2.60.0'] },
    });
    expect(machine.accelerators).toHaveLength(8);
    expect(machine.accelerators[0].model.slug).toMatch(/^h100/);
  });

  test('what other pods hold of a node is not offered, and a cordoned node is drained until it is uncordoned', async () => {
    const pod: Manifest = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'foreign', namespace: 'default' },
      spec: {
        nodeName: 'kwok-0001',
        containers: [
          { name: 'it', image: 'it', resources: { limits: { cpu: '100', memory: '1Gi', 'nvidia.com/gpu': '3' } } },
        ],
      },
    };
    await ground.admin.create(resources.pods, pod);
    const second = async () => (await kubernetesNodes()).find(({ name }) => name === 'site-kwok-0001');
    await until('it offers less', 30_000, async () => (await second())?.inventory.devices.length === 5);
    expect((await second()).inventory.cpus).toBe(92);
    await ground.bed.kubectl('cordon', 'kwok-0001');
    await until('it is drained', 30_000, async () => (await second()).scheduling === 'drained');
    expect((await second()).drain.reason).toBe('in Kubernetes it is cordoned');
    await ground.bed.kubectl('uncordon', 'kwok-0001');
    await until('it takes work', 30_000, async () => (await second()).scheduling === 'active');
  });
});

describe('a cluster', () => {
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  let cluster: any;

  test('becomes a RayCluster whose pods are on the nodes that the scheduler chose, and is ready with them', async () => {
    const workers = [{ name: 'gpus', count: 2, cpus: 4, gpus: 8, memoryBytes: 2 ** 33 }];
    cluster = await stack.cluster('training', { ...gpuCluster, workerGroups: workers });
    await until('its workers are ready', 60_000, async () => {
      const { body } = await stack.call('GET', `/v1/clusters/${cluster.id}`);
      cluster = body;
      return body.leases.every((lease: { phase: string }) => lease.phase === 'ready') && body.leases.length === 3;
    });
    const [made, ...others] = await rayClusters();
    expect(others).toEqual([]);
    expect(made?.metadata.labels?.['io.iocloud/cluster']).toBe(cluster.id);
    const machines = new Map((await nodes()).map(({ id, inventory }) => [id, inventory?.hostname]));
    const running = await pods(`io.iocloud/cluster=${cluster.id}`);
    expect(running).toHaveLength(3);
    for (const lease of cluster.leases) {
      const pod = running.find(({ metadata }) => metadata.labels?.['io.iocloud/lease'] === lease.id);
      expect(pod?.spec?.nodeName).toBe(machines.get(lease.nodeId));
    }
    const { data } = await ground.admin.get<{ data: Record<string, string> }>(
      objectPath(resources.secrets, namespace, made?.metadata.name ?? ''),
    );
    expect(Object.keys(data)).toEqual(['auth_token']);
  });

  test('a worker whose pod is lost gets a new lease and a new pod; the head and the other stay', async () => {
    const before = await pods(`io.iocloud/cluster=${cluster.id}`);
    const lost = before.find(({ metadata }) => metadata.labels?.[labels.nodeType] === 'worker');
    await ground.bed.kubectl('-n', namespace, 'delete', 'pod', lost?.metadata.name ?? '', '--wait=false');
    await until('another lease is ready in its place', 90_000, async () => {
      const { body } = await stack.call('GET', `/v1/clusters/${cluster.id}`);
      const ids = body.leases.map(({ id }: { id: string }) => id);
      const isReady = body.leases.every((lease: { phase: string }) => lease.phase === 'ready');
      return ids.length === 3 && isReady && !ids.includes(lost?.metadata.labels?.['io.iocloud/lease']);
    });
    const after = new Set((await pods(`io.iocloud/cluster=${cluster.id}`)).map(({ metadata }) => metadata.uid));
    const kept = before.filter(({ metadata }) => metadata.uid !== lost?.metadata.uid);
    expect(kept.every(({ metadata }) => after.has(metadata.uid))).toBe(true);
  });

  test('comes back with a new RayCluster when its head is lost, though the operator makes a pod of the same name', async () => {
    const [before] = await rayClusters();
    const [head] = await pods(`io.iocloud/cluster=${cluster.id},${labels.nodeType}=head`);
    await ground.bed.kubectl('-n', namespace, 'delete', 'pod', head?.metadata.name ?? '', '--wait=false');
    await until('another RayCluster', 90_000, async () => {
      const found = await rayClusters();
      return found.length === 1 && found[0]?.metadata.name !== before?.metadata.name;
    });
    await stack.clusterIn(cluster.id, 'ready');
    const events = (await stack.call('GET', `/v1/events?subject=${cluster.id}&limit=1000`)).body.items;
    expect(events.map(({ reason }: { reason: string }) => reason)).toContain('HeadLost');
  });

  test('survives kill -9 of the control plane as it is', async () => {
    await until('its workers are back', 60_000, async () => {
      const { leases } = (await stack.call('GET', `/v1/clusters/${cluster.id}`)).body;
      return leases.length === 3 && leases.every((lease: { phase: string }) => lease.phase === 'ready');
    });
    const before = (await pods(`io.iocloud/cluster=${cluster.id}`)).map(({ metadata }) => metadata.uid).sort();
    await stack.kill9('control plane');
    await until('the provider is connected again', 60_000, async () => {
      const { body } = await stack.call('GET', '/v1/providers');
      const heard = Date.parse(body.items[0].heardAt ?? '');
      return body.items[0].state === 'connected' && Date.now() - heard < 30_000;
    });
    const { body } = await stack.call('GET', `/v1/clusters/${cluster.id}`);
    expect(body.phase).toBe('ready');
    expect((await pods(`io.iocloud/cluster=${cluster.id}`)).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
  });

  test('keeps its leases while the API server is away: silence proves nothing', async () => {
    await ground.bed.killApiServer();
    await until('its machines are offline', 60_000, async () =>
      (await kubernetesNodes()).every(({ state }) => state === 'offline'),
    );
    const leases = (await stack.call('GET', `/v1/clusters/${cluster.id}`)).body.leases;
    // Longer than after which a machine with an agent is given up.
    const until13s = Date.now() + 14_000;
    await until('a bare machine would be lost', 60_000, () => Date.now() > until13s);
    expect((await stack.call('GET', `/v1/clusters/${cluster.id}`)).body.leases).toEqual(leases);
    await ground.bed.startApiServer();
    await until('they are back', 60_000, async () =>
      (await kubernetesNodes()).every(({ state }) => state === 'online'),
    );
    expect((await stack.call('GET', `/v1/clusters/${cluster.id}`)).body.phase).toBe('ready');
  });

  test('is deleted when nothing of it is left in Kubernetes', async () => {
    const [made] = await rayClusters();
    const removal = await stack.call(
      'DELETE',
      `/v1/providers/${(await stack.read<{ id: string }[]>('provider', 'list'))[0]?.id}`,
    );
    expect(removal.status).toBe(409);
    await stack.call('DELETE', `/v1/clusters/${cluster.id}`);
    await until('it is gone', 60_000, async () => {
      const { status, body } = await stack.call('GET', `/v1/clusters/${cluster.id}`);
      return status === 404 || body.phase === 'deleted';
    });
    expect(await rayClusters()).toEqual([]);
    expect(await pods(`io.iocloud/cluster=${cluster.id}`)).toEqual([]);
    const policy = objectPath(
      { root: 'apis/networking.k8s.io/v1', plural: 'networkpolicies' },
      namespace,
      made?.metadata.name ?? '',
    );
    await until('its network policy went with it', 60_000, () =>
      ground.admin.get(policy).then(
        () => false,
        (error: unknown) => isNotFound(error),
      ),
    );
  });

  test('a machine goes with its node, and all of them with the provider', async () => {
    await ground.bed.kubectl('delete', 'node', 'kwok-0002');
    await until('two machines', 30_000, async () => (await kubernetesNodes()).length === 2);
    await stack.said('provider', 'remove', 'site');
    expect(await kubernetesNodes()).toEqual([]);
    expect(await stack.read('provider', 'list')).toEqual([]);
  });
});
