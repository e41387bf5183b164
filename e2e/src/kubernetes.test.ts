/**
 * The same request on pods: `ray job submit` at the control plane runs in a pod of a real kubelet, on a cluster that the
 * operator makes there; and a job moves between Kubernetes and a bare machine, whichever it loses.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collectionPath, type ObjectList, type Pod, resources } from '@iocloud/ray-operator';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { installOperator, OperatorProcess } from '../kubernetes/operator-process.js';
import { RealBed, rayImage, realBedObstacle } from '../kubernetes/real-bed.js';
import { Stack, until } from './harness/index.js';

const moveMs = 240_000;
jest.setTimeout(moveMs);

const obstacle = realBedObstacle();
if (obstacle) process.stderr.write(`${obstacle}: jobs in pods are NOT tested in this run\n`);
const where = obstacle ? describe.skip : describe;

/** Goes on for ever in a pod, and ends on a bare machine, or the other way round. */
const endsOn = (place: 'pod' | 'bare') =>
  `import os, time; here = "pod" if "KUBERAY_GEN_RAY_START_CMD" in os.environ else "bare"; ` +
  `print("runs on", here, flush=True); time.sleep(0 if here == "${place}" else 3600)`;

where('jobs in pods', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'iocloud-pods-'));
  let bed: RealBed;
  let operator: OperatorProcess;
  let stack: Stack;
  let local: string;

  beforeAll(async () => {
    bed = await RealBed.start({ nodes: 1, prepare: installOperator });
    operator = await OperatorProcess.start(bed);
    await operator.said('following');
    stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
    local = (await nodes())[0].id;
    const file = join(scratch, 'manifest.yaml');
    await writeFile(file, await stack.said('provider', 'manifest', 'kubernetes'));
    await bed.kubectl('apply', '-f', file);
    const add = ['provider', 'add', 'kubernetes', '--name', 'pods', '--image', rayImage];
    await stack.said(...add, '--kubeconfig', bed.kubeconfig());
    await until('its node is a machine', 60_000, async () =>
      (await nodes()).some(({ providerId, state }) => providerId !== null && state === 'online'),
    );
    await stack.said('node', 'drain', local, '--grace', '0s');
  }, moveMs);

  afterAll(async () => {
    await stack?.stop();
    await operator?.stop();
    await bed?.stop();
    rmSync(scratch, { recursive: true, force: true });
  }, moveMs);

  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  const nodes = async (): Promise<any[]> => (await stack.call('GET', '/v1/nodes')).body.items;
  const pods = async (): Promise<Pod[]> =>
    (await bed.admin()).get<ObjectList<Pod>>(collectionPath(resources.pods, 'default')).then(({ items }) => items);
  const saidBy = (id: string, text: string) =>
    until(`the log of ${id} says ${text}`, moveMs, async () => (await stack.log(id)).includes(text));

  test('ray job submit runs in a pod; its log and its status come back as from any machine', async () => {
    const program = 'import os, ray; ray.init(); print("in", os.environ["KUBERAY_GEN_RAY_START_CMD"][:6], 6 * 7)';
    const result = await stack.ray('job', 'submit', '--submission-id', 'podded', '--', 'python', '-c', program);
    expect(result.stdout + result.stderr).toContain('in ulimit 42');
    expect(result.code).toBe(0);
    expect(await pods()).toHaveLength(1);
    expect((await stack.job('podded')).status).toBe('SUCCEEDED');
    expect(await stack.log('podded')).toContain('in ulimit 42');
  });

  test("the head's dashboard and its load are there as on any machine", async () => {
    const [cluster] = (await stack.call('GET', '/v1/clusters')).body.items;
    const version = await stack.call('GET', `${cluster.dashboardPath}api/version`);
    expect(version.body).toMatchObject({ ray_version: '2.60.0' });
    await until('Ray says what is used', 60_000, async () => {
      const { body } = await stack.call('GET', `/v1/clusters/${cluster.id}`);
      return body.load?.nodes[0]?.leaseId === body.leases[0].id;
    });
  });

  test('a job whose pod is killed goes on, on a bare machine', async () => {
    const id = await stack.submit(`python -c '${endsOn('bare')}'`);
    await saidBy(id, 'runs on pod');
    await stack.said('node', 'undrain', local);
    await bed.kubectl('cordon', 'node-0');
    await bed.kubectl('delete', 'pod', '--all', '--grace-period=1', '--wait=false');
    expect((await stack.ended(id, moveMs)).status).toBe('SUCCEEDED');
    expect(await stack.log(id)).toContain('runs on bare');
  });

  test('and the other way round: a job whose bare machine is left goes on in a pod', async () => {
    const id = await stack.submit(`python -c '${endsOn('pod')}'`);
    await saidBy(id, 'runs on bare');
    await bed.kubectl('uncordon', 'node-0');
    await stack.said('node', 'drain', local, '--grace', '5s');
    expect((await stack.ended(id, moveMs)).status).toBe('SUCCEEDED');
    expect(await stack.log(id)).toContain('runs on pod');
  });
});
