/** A cluster that grows with what waits on it and shrinks when it is idle, by what real Ray says. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '6' } });
});
afterAll(() => stack?.stop());

/** Two tasks that need a worker each at the same time; one of them outlasts the other by far. */
const program = `
import ray, time
@ray.remote(num_cpus=2, max_retries=0)
def work(seconds):
    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()
ray.init()
print("nodes", len(set(ray.get([work.remote(2), work.remote(16)]))))
`;

test('a cluster grows for waiting tasks, ends no busy worker, and shrinks to its bound when idle', async () => {
  const { id } = await stack.cluster('elastic', {
    head: { cpus: 1 },
    workerGroups: [{ name: 'w', cpus: 2, count: 0, minCount: 0, maxCount: 2, idleTimeoutSeconds: 4 }],
  });
  const show = async () => (await stack.call('GET', `/v1/clusters/${id}`)).body;
  const events = async (): Promise<{ reason: string; message: string }[]> =>
    (await stack.call('GET', `/v1/events?subject=${id}&limit=1000`)).body.items;
  const told = async (reason: string) => (await events()).filter(event => event.reason === reason);

  const job = await stack.submit(`python - <<'PY'\n${program}\nPY`, { metadata: { 'io.cluster': 'elastic' } });
  const grown = await until('it has grown to two workers', 60_000, async () => {
    const cluster = await show();
    return cluster.spec.workerGroups[0].count === 2 ? cluster : null;
  });
  expect(grown.load.waiting).toEqual([{ resources: { CPU: 2 }, count: 2 }]);
  const [up] = await told('ClusterScaledUp');
  expect(up?.message).toBe('group w of elastic grows from 0 to 2 workers: 2 tasks wait for 2 CPU each');

  // The worker of the short task goes while the other is still busy.
  const shrunk = await until('the idle worker goes', 60_000, async () => {
    const cluster = await show();
    const workers = cluster.leases.filter((lease: { role: string }) => lease.role === 'worker');
    return cluster.spec.workerGroups[0].count === 1 && workers.length === 1 ? { cluster, workers } : null;
  });
  expect((await stack.job(job)).status).toBe('RUNNING');
  const stays = shrunk.workers[0].id;
  const seen = shrunk.cluster.load.nodes.find((node: { leaseId: string }) => node.leaseId === stays);
  expect(seen).toMatchObject({ group: 'w', state: 'hot', resources: { CPU: { used: 2, total: 2 } } });
  const [node] = (await stack.call('GET', '/v1/nodes')).body.items;
  expect(node.load).toMatchObject({ state: 'busy', cpusUsed: 2 });

  expect((await stack.ended(job)).status).toBe('SUCCEEDED');
  expect(await stack.log(job)).toContain('nodes 2');
  await until('it is down to its bound', 60_000, async () => {
    const cluster = await show();
    return cluster.leases.length === 1 && cluster.phase === 'ready' ? cluster : null;
  });
  const downs = (await told('ClusterScaledDown')).map(({ message }) => message.replace(/w\/\d .*/, ''));
  expect(downs.sort()).toEqual([
    'group w of elastic shrinks from 1 to 0 workers: ',
    'group w of elastic shrinks from 2 to 1 workers: ',
  ]);
  expect(await told('WorkerExited')).toEqual([]);
  const shown = await stack.iocloud('cluster', 'show', 'elastic');
  expect(shown.stdout).toContain('0, between 0 and 2 (idle 4 s)');
  expect(shown.stdout).toContain('nothing waits for room');
});
