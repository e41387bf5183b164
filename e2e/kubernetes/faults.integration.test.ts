/** Faults of the world around the operator: nodes that die or are drained, an API server that throttles and forgets. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { objectPath, type Pod, resources } from '@iocloud/ray-operator';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group } from './ground.js';
import { OperatorProcess } from './operator-process.js';

const patienceMs = 240_000;

let ground: Ground;
let operator: OperatorProcess | undefined;

beforeAll(async () => {
  ground = await Ground.make(4);
});

afterEach(async () => {
  await operator?.kill();
  operator = undefined;
});

afterAll(async () => {
  await ground?.stop();
});

async function startOperator(settings: Record<string, string> = {}): Promise<OperatorProcess> {
  operator = await OperatorProcess.start(ground.bed, settings);
  await operator.said('following');
  return operator;
}

const headOf = (cluster: string): Promise<Pod> =>
  ground.admin.get(objectPath(resources.pods, 'default', `${cluster}-head`));

test('a head that a dead node never lets go of is replaced all the same', async () => {
  await startOperator({ RAY_OPERATOR_LATE_POD_SECONDS: '2' });
  await ground.create('stuck', { workerGroupSpecs: [group(1)] });
  await ground.settled('stuck', 1);
  const head = await headOf('stuck');
  await ground.bed.killKubelets();
  try {
    await ground.bed.kubectl('delete', 'pod', 'stuck-head', '--wait=false');
    expect((await headOf('stuck')).metadata).toMatchObject({ uid: head.metadata.uid });
    await until('a successor is there', 60_000, async () => (await headOf('stuck')).metadata.uid !== head.metadata.uid);
  } finally {
    await ground.bed.startKubelets();
  }
  await ground.settled('stuck', 1);
  await ground.remove('stuck');
});

test('a kubelet that takes its time is waited for', async () => {
  await startOperator({ RAY_OPERATOR_LATE_POD_SECONDS: '600' });
  await ground.create('slow', { workerGroupSpecs: [group(1)] });
  await ground.settled('slow', 1);
  const head = await headOf('slow');
  await ground.bed.killKubelets();
  try {
    await ground.bed.kubectl('delete', 'pod', 'slow-head', '--wait=false');
    // The change of the spec is carried out, so the cluster was looked at with its head on its way out.
    await ground.change('slow', { workerGroupSpecs: [group(2)] });
    await until('the second worker', 30_000, async () => (await ground.workers('slow')).length === 2);
    expect((await headOf('slow')).metadata.uid).toBe(head.metadata.uid);
  } finally {
    await ground.bed.startKubelets();
  }
  await ground.settled('slow', 2);
  await ground.remove('slow');
});

test('a node that is drained loses its pods to the others', async () => {
  await startOperator();
  await ground.create('drained', { workerGroupSpecs: [group(7)] });
  await ground.settled('drained', 7);
  const { spec } = await headOf('drained');
  const node = spec?.nodeName ?? '';
  await ground.bed.kubectl('drain', node, '--force', '--delete-emptydir-data', '--ignore-daemonsets', '--timeout=60s');
  await ground.settled('drained', 7);
  expect((await ground.pods('drained')).filter(pod => pod.spec?.nodeName === node)).toEqual([]);
  await ground.bed.kubectl('uncordon', node);
  await ground.remove('drained');
});

test('a probe that fails for a while kills nothing', async () => {
  await startOperator();
  await ground.create('probed', { workerGroupSpecs: [group(2)] });
  await ground.settled('probed', 2);
  const before = (await ground.pods('probed')).map(({ metadata }) => metadata.uid).sort();
  const names = (await ground.pods('probed')).map(({ metadata }) => metadata.name);
  const say = async (status: string) => {
    const conditions = ['Ready', 'ContainersReady'].map(type => ({ type, status }));
    for (const name of names) {
      await ground.bed.kubectl(
        'patch',
        'pod',
        name,
        '--subresource=status',
        '-p',
        JSON.stringify({ status: { conditions } }),
      );
    }
  };
  await say('False');
  await until('it is noticed', 30_000, async () => {
    const { status } = await ground.get('probed');
    const head = await ground.condition('probed', 'HeadPodReady');
    return head?.status === 'False' && status?.readyWorkerReplicas === 0;
  });
  await say('True');
  await ground.settled('probed', 2);
  expect((await ground.pods('probed')).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
  await ground.remove('probed');
});

test(
  'an API server that throttles gets no more than it takes, and every pod is made once',
  async () => {
    const throttled = await startOperator();
    await ground.bed.killApiServer();
    const few = ['--max-requests-inflight=5', '--max-mutating-requests-inflight=5'];
    await ground.bed.startApiServer(['--enable-priority-and-fairness=false', ...few]);
    await ground.create('throttled', { workerGroupSpecs: [group(30)] });
    await ground.settled('throttled', 30, 120_000);
    expect(await throttled.metric('rest_client_requests_total', 'code="429"')).toBeGreaterThan(0);
    expect(await throttled.metric('ray_operator_pods_created_total')).toBe(31);
    await ground.bed.killApiServer();
    await ground.bed.startApiServer();
    await ground.remove('throttled');
    await until('all are gone', 60_000, async () => (await ground.pods('throttled')).length === 0);
  },
  patienceMs,
);

test(
  'a watch that has missed what was since forgotten begins with a new list',
  async () => {
    const line = await Line.to(ground.bed.apiPort);
    try {
      // A lease long enough that the cut does not end its time as leader: that would begin with new lists, too.
      const cutOff = await startOperator({
        KUBERNETES_SERVICE_PORT_HTTPS: String(line.port),
        RAY_OPERATOR_LEASE_SECONDS: '120',
      });
      await ground.create('forgotten', { workerGroupSpecs: [group(3)] });
      await ground.settled('forgotten', 3);
      await until('its one list is counted', 30_000, async () => (await listsOf(cutOff)) === 1);
      line.cut();
      await ground.bed.kubectl('delete', 'pod', ...(await ground.workers('forgotten')).slice(0, 2));
      await ground.change('forgotten', { workerGroupSpecs: [group(5)] });
      await ground.bed.compact();
      await ground.bed.killApiServer();
      await ground.bed.startApiServer();
      line.heal();
      await ground.settled('forgotten', 5, 120_000);
      await until('another list is counted', 30_000, async () => (await listsOf(cutOff)) === 2);
      expect(cutOff.lines.filter(({ msg }) => msg === 'following')).toHaveLength(1);
    } finally {
      line.close();
    }
  },
  patienceMs,
);

const listsOf = (operator: OperatorProcess) => operator.metric('ray_operator_lists', 'kind="pods"');

/** A line to the API server that can be cut. */
class Line {
  private readonly sockets = new Set<Socket>();
  private whole = true;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async to(target: number): Promise<Line> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const line = new Line(server, (server.address() as AddressInfo).port);
    server.on('connection', outer => {
      const inner = connectTcp(target, '127.0.0.1');
      for (const socket of [outer, inner]) {
        line.sockets.add(socket);
        socket.on('error', () => undefined); // its close says all
        socket.on('close', () => {
          line.sockets.delete(socket);
          outer.destroy();
          inner.destroy();
        });
      }
      if (line.whole) outer.pipe(inner).pipe(outer);
      else outer.destroy();
    });
    return line;
  }

  cut(): void {
    this.whole = false;
    for (const socket of this.sockets) socket.destroy();
  }

  heal(): void {
    this.whole = true;
  }

  close(): void {
    this.server.close();
    this.cut();
  }
}
