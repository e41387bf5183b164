/** A cluster that grows with what waits on it and shrinks when it is idle, by what real Ray says. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '7' } });
});
afterAll(() => stack?.stop());

/** Two tasks that need a worker each at the same time, next to the one that the entrypoint holds; one outlasts the other. */
const program = `
import ray, time
@ray.remote(num_cpus=2, max_retries=0)
def work(seconds):
    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()
ray.init()
print("nodes", len(set(ray.get([work.remote(2), work.remote(14)]))))
`;

test('a cluster grows for waiting tasks, ends no busy worker, and shrinks to its bound when idle', async () => {
  const { id } = await stack.cluster('elastic', {
    head: { cpus: 1 },
    workerGroups: [{ name: 'w', cpus: 2, count: 0, minCount: 0, maxCount: 3, idleTimeoutSeconds: 3 }],
  });
  const show = async () => (await stack.call('GET', `/v1/clusters/${id}`)).body;
  const events = async (): Promise<{ reason: string; message: string }[]> =>
    (await stack.call('GET', `/v1/events?subject=${id}&limit=1000`)).body.items;
  const told = async (reason: string) => (await events()).filter(event => event.reason === reason);

  const job = await stack.submit(`python - <<'PY'\n${program}\nPY`, {
    metadata: { 'io.cluster': 'elastic' },
    entrypoint_num_cpus: 2,
  });
  await until('it has grown for the entrypoint, and then for the tasks', 60_000, async () => {
    const cluster = await show();
    return cluster.spec.workerGroups[0].count === 3;
  });
  expect((await told('ClusterScaledUp')).map(({ message }) => message)).toEqual([
    'group w of elastic grows from 0 to 1 workers: 1 task waits for 2 CPU each',
    'group w of elastic grows from 1 to 3 workers: 2 tasks wait for 2 CPU each',
  ]);

  // The worker of the short task goes while the others are still busy.
  const shrunk = await until('the idle worker goes', 60_000, async () => {
    const cluster = await show();
    const workers = cluster.leases.filter((lease: { role: string }) => lease.role === 'worker');
    return cluster.spec.workerGroups[0].count === 2 && workers.length === 2 ? { cluster, workers } : null;
  });
  expect((await stack.job(job)).status).toBe('RUNNING');
  for (const { id: stays } of shrunk.workers) {
    const seen = shrunk.cluster.load.nodes.find((node: { leaseId: string }) => node.leaseId === stays);
    expect(seen).toMatchObject({ group: 'w', state: 'hot', resources: { CPU: { used: 2, total: 2 } } });
  }
  const [node] = (await stack.call('GET', '/v1/nodes')).body.items;
  expect(node.load).toMatchObject({ state: 'busy', cpusUsed: 4 });

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
    'group w of elastic shrinks from 3 to 2 workers: ',
  ]);
  expect(await told('WorkerExited')).toEqual([]);
  const shown = await stack.iocloud('cluster', 'show', 'elastic');
  expect(shown.stdout).toContain('0, between 0 and 3 (idle 3 s)');
  expect(shown.stdout).toContain('nothing waits for room');
});
