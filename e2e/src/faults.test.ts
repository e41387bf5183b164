/** Real faults on real Ray, with jobs running: each ends SUCCEEDED, from its checkpoint, exactly once. */
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import {
  counting,
  countingTask,
  type Machine,
  type Mark,
  marksOf as marks,
  networkObstacle,
  processes,
  Stack,
  until,
} from './harness/index.js';

jest.setTimeout(240_000);

/** Why no machine's network can be cut here, or null. */
const obstacle = networkObstacle();
let stack: Stack;
let machines: Machine[];
const clusters: Record<string, string> = {};
beforeAll(async () => {
  // The stack's own machine is too small for the clusters: they stand on the other two, one on each.
  const everywhere: Record<string, string> = obstacle === null ? { IOCLOUD_SSH_HOST: '0.0.0.0' } : {};
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', ...everywhere } });
  const ownNetwork = obstacle === null;
  machines = [await stack.machine('left', { ownNetwork }), await stack.machine('right', { ownNetwork })];
  for (const name of ['alpha', 'beta']) {
    clusters[name] = (await stack.cluster(name, { head: { cpus: 3 } })).id;
  }
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  for (const id of Object.values(clusters)) await stack.clusterIn(id, 'ready', 120_000);
});

const marksOf = (id: string) => marks(stack, id);

async function start(id: string, steps: number, metadata: Record<string, string> = {}, preface = ''): Promise<Machine> {
  await stack.submit(`${preface}${counting(stack, id, steps)}`, { submission_id: id, metadata });
  await until(`${id} steps`, 60_000, () => marksOf(id).some(mark => mark.step >= 4));
  return machineOf(await clusterOf(id));
}

const clusterOf = async (id: string) => (await stack.call('GET', `/v1/jobs/${id}`)).body.clusterId as string;
async function machineOf(clusterId: string): Promise<Machine> {
  const { leases } = (await stack.call('GET', `/v1/clusters/${clusterId}`)).body;
  const machine = machines.find(({ id }) => id === leases[0]?.nodeId);
  if (!machine) throw new Error(`cluster ${clusterId} stands on none of the machines: ${JSON.stringify(leases)}`);
  return machine;
}

/** Its end is right, it ran once at a time, and it went on where its checkpoint was. Prints how long it was away. */
async function expectMoved(id: string, faultAtMs: number, outcomes: string[], fault: string): Promise<Mark[]> {
  const job = await stack.ended(id, 150_000);
  expect(job.status).toBe('SUCCEEDED');
  const { attempts } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
  expect(attempts.map((attempt: { outcome: string }) => attempt.outcome)).toEqual(outcomes);
  const all = marksOf(id);
  expect(all.filter(({ what }) => what === 'finished')).toHaveLength(1);
  const began = all.filter(({ what }) => what === 'began');
  expect(began.map(({ attempt }) => attempt)).toEqual(outcomes.map((_, i) => i + 1));
  const [, second] = began;
  if (second) {
    expect(second.step).toBeGreaterThanOrEqual(4);
    for (const mark of all.filter(({ attempt }) => attempt === 1)) expect(mark.atMs).toBeLessThanOrEqual(second.atMs);
    const detected = Date.parse(attempts[0].endedAt);
    process.stdout.write(
      `${fault}: noticed after ${(detected - faultAtMs) / 1000} s, running again after ${(second.atMs - faultAtMs) / 1000} s\n`,
    );
  }
  return began;
}

/** That it cannot be reached is on record, with the machine, its cluster and its job, while nothing is given up yet. */
async function expectNoticed(id: string, machine: Machine, faultAtMs: number, fault: string): Promise<void> {
  const clusterId = await clusterOf(id);
  const eventOf = async (subject: string, reason: string) => {
    const { items } = (await stack.call('GET', `/v1/events?limit=1000&subject=${subject}`)).body;
    return items.find((event: { at: string; reason: string }) => {
      return event.reason === reason && Date.parse(event.at) > faultAtMs;
    });
  };
  const offline = await until('it is noticed', 20_000, () => eventOf(machine.id, 'NodeOffline'));
  expect((await machine.show()).state).toBe('offline');
  expect(await eventOf(clusterId, 'MachineUnreachable')).toBeDefined();
  expect(await eventOf(id, 'MachineUnreachable')).toBeDefined();
  const { attempts } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
  expect(attempts.map((attempt: { outcome: string | null }) => attempt.outcome)).toEqual([null]);
  process.stdout.write(`${fault}: known to be out of reach after ${(Date.parse(offline.at) - faultAtMs) / 1000} s\n`);
}

describe('in the middle of a job', () => {
  test('kill -9 of the head: the job goes on at another cluster, from its checkpoint', async () => {
    const machine = await start('head', 40);
    const first = await clusterOf('head');
    const at = Date.now();
    for (const { pid } of machine.processes().filter(({ command }) => command.includes('gcs_server'))) {
      process.kill(pid, 'SIGKILL');
    }
    const began = await expectMoved('head', at, ['lost', 'succeeded'], 'lost head, warm cluster elsewhere');
    expect(await clusterOf('head')).not.toBe(first);
    expect((began[1]?.atMs ?? Number.POSITIVE_INFINITY) - at).toBeLessThan(20_000);
    const log = await stack.log('head');
    expect(log).toContain('attempt 1 of head goes on from step 0');
    expect(log).toMatch(/----- attempt 1 lost .* attempt 2 follows -----/);
    expect(log).toMatch(/attempt 2 of head goes on from step [1-9]/);
  });

  test('kill -9 of the raylet that the head has: the same', async () => {
    const machine = await start('raylet', 40);
    const at = Date.now();
    for (const { pid } of machine.processes().filter(({ command }) => /\/raylet\/raylet /.test(command))) {
      process.kill(pid, 'SIGKILL');
    }
    await expectMoved('raylet', at, ['lost', 'succeeded'], 'lost raylet of a head');
  });

  test('kill -9 of an agent that comes back: the job does not notice', async () => {
    const machine = await start('agent', 40);
    await machine.killAgent();
    machine.start();
    await expectMoved('agent', Date.now(), ['succeeded'], 'killed agent');
  });

  test('a machine that dies with all that is on it: the job goes on at another one', async () => {
    const machine = await start('machine', 40);
    const { reputation } = await machine.show();
    const at = Date.now();
    await machine.killAll();
    await expectNoticed('machine', machine, at, 'a dead machine');
    await expectMoved('machine', at, ['lost', 'succeeded'], 'dead machine, warm cluster elsewhere');
    // An interrupted job and a lost head; nothing else that happens meanwhile weighs as much.
    await until('it is relied on less', 20_000, async () => (await machine.show()).reputation < 0.9 * reputation);
    machine.start();
  });

  test('a machine that is cut off and comes back: its job has ended there before it runs elsewhere, and finishes once', async () => {
    const machine = await start('partition', 120);
    const at = Date.now();
    machine.signalAgent('SIGSTOP');
    await until('it runs again', 90_000, () => marksOf('partition').some(({ attempt }) => attempt === 2));
    expect(machine.processes().filter(({ command }) => /gcs_server|raylet /.test(command))).toEqual([]);
    machine.signalAgent('SIGCONT');
    await machine.online();
    await expectMoved('partition', at, ['lost', 'succeeded'], 'partitioned machine');
  });

  (obstacle === null ? test : test.skip)(
    `a machine whose network is cut and healed${obstacle === null ? '' : ` (not here: ${obstacle})`}: the same`,
    async () => {
      const machine = await start('cut', 120);
      const at = Date.now();
      await machine.network?.cut();
      await expectNoticed('cut', machine, at, 'a machine without its network');
      await until('it runs again', 90_000, () => marksOf('cut').some(({ attempt }) => attempt === 2));
      // Its agent lives and sees this, too, but cannot say it.
      expect(machine.processes().filter(({ command }) => /gcs_server|raylet /.test(command))).toEqual([]);
      await machine.network?.heal();
      await machine.online();
      await expectMoved('cut', at, ['lost', 'succeeded'], 'cut network');
    },
  );

  test('draining: the job writes its checkpoint, moves, and has used up no attempt', async () => {
    // Longer than Ray would wait by itself.
    const save = `trap 'sleep 5; echo "saved by attempt $IOCLOUD_ATTEMPT" > $IOCLOUD_CHECKPOINT_DIR/saved; exit 1' TERM; `;
    const show = 'cat $IOCLOUD_CHECKPOINT_DIR/saved 2>/dev/null; ';
    const machine = await start('drain', 60, { 'io.max_attempts': '1' }, `${save}${show}`);
    const at = Date.now();
    const drained = await stack.iocloud('node', 'drain', machine.name, '--grace', '30s', '--reason', 'new fans');
    expect(drained.stderr).toBe('');
    expect(drained.code).toBe(0);
    await expectMoved('drain', at, ['evicted', 'succeeded'], 'drained machine');
    await until('it is drained', 30_000, async () => (await machine.show()).scheduling === 'drained');
    expect(machine.processes().filter(({ command }) => /gcs_server|raylet /.test(command))).toEqual([]);
    expect(await stack.log('drain')).toContain('saved by attempt 1');
    expect((await stack.log('drain')).replaceAll(/\s+/g, ' ')).toContain('is being drained (new fans)');
    expect((await stack.iocloud('node', 'undrain', machine.name)).code).toBe(0);
  });

  test('kill -9 of a worker: it is replaced, its tasks run again, the job has one attempt', async () => {
    for (const [name, id] of Object.entries(clusters)) {
      delete clusters[name];
      await stack.call('DELETE', `/v1/clusters/${id}`);
      await stack.clusterIn(id, 'deleted');
    }
    const workers = [{ name: 'w', cpus: 1, count: 1, resources: { there: 1 } }];
    const { id } = await stack.cluster('gamma', { head: { cpus: 2 }, workerGroups: workers });
    const machine = await machineOf(id);
    await stack.submit(countingTask(stack, 'worker', 20), { submission_id: 'worker' });
    await until('the task steps', 60_000, () => marksOf('worker').some(({ step }) => step >= 4));
    const at = Date.now();
    const raylets = processes().filter(
      ({ pid, command }) =>
        /\/raylet\/raylet /.test(command) &&
        !command.includes('127.0.0.2 ') &&
        machine.processes().some(one => one.pid === pid),
    );
    expect(raylets).toHaveLength(1);
    for (const { pid } of raylets) process.kill(pid, 'SIGKILL');
    expect((await stack.ended('worker')).status).toBe('SUCCEEDED');
    expect((await stack.call('GET', '/v1/jobs/worker')).body.attempts).toHaveLength(1);
    const again = marksOf('worker').filter(({ what }) => what === 'began')[1];
    expect(again).toBeDefined();
    process.stdout.write(`lost worker: its task runs again after ${((again?.atMs ?? 0) - at) / 1000} s\n`);
  });
});
