/**
 * Every query of every dashboard on a real Prometheus beside a real system that has had clusters, jobs, a migration, bills
 * and a payment in it: each returns data, or is listed here with why it cannot.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boards, filledIn, type PanelQuery, panelQueries, variableSelectors } from '@iocloud/dashboards';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Observer, pretendGpu, Stack, TestChain, until } from './harness/index.js';

jest.setTimeout(400_000);

const withPrometheus = process.env.IOCLOUD_TEST_PROMETHEUS ? test : test.skip;
if (!process.env.IOCLOUD_TEST_PROMETHEUS) {
  process.stderr.write('no IOCLOUD_TEST_PROMETHEUS: the queries of the dashboards are NOT tested in this run\n');
}

/** What can return nothing here, and why: the beginning of `board / row / panel`. */
const expectedEmpty: readonly [beginning: string, why: string][] = [
  ['operator / ', 'no Kubernetes here; the catalogue is held against what the operator exports'],
  ['all /  / annotation', 'nothing is on fire'],
  ['cluster / Nodes / GPU', 'no accelerator that Ray could see'],
  ['fleet / Proof / Verifications judged', 'simulated devices cannot prove that they exist, so no proof is asked for'],
  ['nodes / Now / Machines that are not up', 'all are'],
  ['nodes / Accelerators / Faults by Xid', 'the pretended device has none'],
  ['queue / Scheduler / Refusals', 'nothing was refused'],
  ['capacity / Accelerators / Asked for and not there', 'nothing was refused'],
  ['gateway / Now / WebSockets', 'nobody has opened one'],
  ['gateway / Tunnels and sessions / Sessions', 'nobody has gone into a lease'],
  ['billing / Webhooks / Attempts', 'no webhook is registered'],
  ['internals / Loops / Errors of loops', 'none has failed'],
  ['internals / Loops / Wake-ups that failed', 'none has'],
  ['internals / PostgreSQL and Redis / Failures', 'none has'],
  ['internals / Processes / Events of the last hour', 'warnings only of what came once: an increase needs two'],
  ['internals / Processes / Spans', 'there is no collector'],
];

let directory: string;
let chain: TestChain;
let stack: Stack;
let observer: Observer;
let renter: string;
let supplier: string;
let clusterId: string;
const asRenter = () => ({ authorization: `Bearer ${renter}` });

beforeAll(async () => {
  if (!process.env.IOCLOUD_TEST_PROMETHEUS) return;
  directory = mkdtempSync(join(tmpdir(), 'iocloud-e2e-dashboards-'));
  chain = await TestChain.start(join(directory, 'chain'));
  const billing = {
    IOCLOUD_BILLING: 'prepaid',
    IOCLOUD_VERIFICATION: 'off',
    IOCLOUD_METERING_WINDOW_SECONDS: '10',
    IOCLOUD_METERING_GRACE_SECONDS: '1',
  };
  const home = join(directory, 'home');
  mkdirSync(join(home, 'data'), { recursive: true });
  writeFileSync(join(home, 'data', 'io-rate.json'), JSON.stringify({ usdPerIo: '1.85' }));
  stack = await Stack.start({
    home,
    env: { IOCLOUD_NODE_CPUS: '1', IOCLOUD_CHECK_MINUTES: '1', ...billing, ...chain.env },
  });
  const tenant = async (name: string) =>
    JSON.parse(await stack.said('tenant', 'create', name, '--json')).apiKey.secret as string;
  renter = await tenant('vision');
  supplier = await tenant('acme');
  await stack.said('ledger', 'credit', 'vision', '250', 'usdc', '--reason', 'a start');
  const simulatedDevices = [
    { vendor: 'nvidia' as const, model: 'NVIDIA A100-SXM4-80GB', memoryBytes: 80 * 2 ** 30, count: 2 },
  ];
  for (const name of ['first', 'second']) {
    const machine = await stack.machine(name, { cpus: 3, shared: true, simulatedDevices, ownerKey: supplier });
    const terms = {
      microUsdPerGpuHour: 1_000_000,
      microUsdPerCpuHour: 10_000,
      plainProcesses: true,
      country: 'DE',
      region: 'eu',
    };
    const { status, body } = await stack.call('PATCH', `/v1/nodes/${machine.id}/terms`, terms, {
      authorization: `Bearer ${supplier}`,
    });
    expect([status, body]).toEqual([200, expect.anything()]);
  }
  const gpu = pretendGpu(directory);
  await stack.machine('hot', { cpus: 1, env: { PATH: gpu.PATH } });
  observer = await Observer.start(stack, { scrapeSeconds: 2 });
}, 300_000);
afterAll(async () => {
  await observer?.stop();
  await stack?.stop();
  await chain?.stop();
  if (directory) await rm(directory, { recursive: true, force: true });
});

/** Over the last minutes, as a panel would show it. */
async function shows(expr: string): Promise<boolean> {
  const now = Math.floor(Date.now() / 1_000);
  const found = await observer.query('query_range', {
    query: filledIn(expr, { cluster: clusterId }),
    start: String(now - 240),
    end: String(now),
    step: '2',
  });
  return found.length > 0;
}

const nameOf = ({ board, row, panel }: PanelQuery) => `${board} / ${row} / ${panel}`;

async function nothingShownBy(): Promise<string[]> {
  const empty: string[] = [];
  for (const query of panelQueries(boards)) {
    const { expr } = query;
    const name = nameOf(query);
    if (expectedEmpty.some(([beginning]) => name.startsWith(beginning))) continue;
    if (!(await shows(expr))) empty.push(`${name}: ${filledIn(expr, { cluster: clusterId })}`);
  }
  return empty;
}

withPrometheus('a system with clusters, jobs, a migration and bills is shown by each panel', async () => {
  const created = await stack.call(
    'POST',
    '/v1/clusters',
    { name: 'seen', head: { cpus: 1 }, workerGroups: [] },
    asRenter(),
  );
  expect([created.status, created.body]).toEqual([201, expect.anything()]);
  clusterId = created.body.id;
  const submit = async (job: Record<string, unknown>) =>
    expect((await stack.call('POST', '/api/jobs/', job, asRenter())).status).toBe(200);
  await submit({ submission_id: 'moves', entrypoint: 'sleep 600', entrypoint_num_gpus: 1 });
  await submit({ submission_id: 'works', entrypoint: worker, metadata: { 'io.cluster': 'seen' } });
  await submit({ submission_id: 'fails', entrypoint: 'exit 3', metadata: { 'io.cluster': 'seen' } });
  await stack.call('GET', '/api/jobs/nowhere', undefined, asRenter());
  const status = async (id: string) => (await stack.call('GET', `/api/jobs/${id}`, undefined, asRenter())).body.status;
  const comesTo = (id: string, wanted: string) =>
    until(`${id} is ${wanted}`, 150_000, async () => (await status(id)) === wanted).catch(async error => {
      const { body: job } = await stack.call('GET', `/v1/jobs/${id}`, undefined, asRenter());
      const { body: log } = await stack.call('GET', `/api/jobs/${id}/logs`, undefined, asRenter());
      throw new Error(`${error.message}\n${JSON.stringify(job)}\n${JSON.stringify(log)}\n${stack.logs()}`);
    });
  await comesTo('moves', 'RUNNING');
  await comesTo('works', 'SUCCEEDED');
  const [{ nodeId }] = await until('where it runs', 30_000, async () => {
    const { body: all } = await stack.call('GET', '/v1/clusters', undefined, asRenter());
    const other = all.items.find(({ id }: { id: string }) => id !== clusterId);
    return other?.leases.length > 0 ? other.leases : null;
  });
  await stack.saidTo(supplier, 'node', 'drain', nodeId, '--grace', '1s', '--reason', 'to see it move');
  await until(
    'a migration is on record',
    180_000,
    async () =>
      (await observer.query('query', { query: 'sum(iocloud_job_migration_duration_seconds_count) > 0' })).length > 0,
  );
  await stack.call('POST', '/api/jobs/moves/stop', undefined, asRenter());
  await until('each panel shows something', 60_000, async () => (await nothingShownBy()).length === 0, 5_000).catch(
    async () => expect(await nothingShownBy()).toEqual([]),
  );
  const names = panelQueries(boards).map(nameOf);
  expect(expectedEmpty.filter(([beginning]) => !names.some(name => name.startsWith(beginning)))).toEqual([]);
});

withPrometheus('each variable offers something', async () => {
  const selectors = boards.flatMap(board => variableSelectors(board));
  for (const { name, selector, label } of selectors) {
    const query = `count by (${label}) (${filledIn(selector)})`;
    const found = await observer.query('query', { query });
    expect({ name, values: found.flatMap(({ metric }) => metric[label] ?? []) }).toEqual({
      name,
      values: expect.arrayContaining([expect.any(String)]),
    });
  }
});

/** Tasks, an actor and an object, for as long as it takes to see them. */
const worker = `python -c "
import ray, time
ray.init()
@ray.remote(num_cpus=0)
class Counter:
    def add(self): time.sleep(1); return 1
@ray.remote(num_cpus=0)
def work(i): time.sleep(1); return i
counter = Counter.remote()
kept = ray.put(b'x' * 10_000_000)
for _ in range(12): ray.get([counter.add.remote(), work.remote(1)])
"`;
