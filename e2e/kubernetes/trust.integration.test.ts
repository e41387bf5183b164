/** What makes the operator one to be trusted: it dies, loses its lease or its API server, and nothing is lost or doubled. */
import { labels } from '@iocloud/ray-operator';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group } from './ground.js';
import { OperatorProcess } from './operator-process.js';

let ground: Ground;
const operators: OperatorProcess[] = [];

async function startOperator(): Promise<OperatorProcess> {
  const operator = await OperatorProcess.start(ground.bed);
  operators.push(operator);
  return operator;
}

beforeAll(async () => {
  ground = await Ground.make(4);
});

afterEach(async () => {
  await Promise.all(operators.splice(0).map(operator => operator.kill()));
});

afterAll(async () => {
  await ground?.stop();
});

test('killed in the midst of making 200 pods, it leaves exactly 200', async () => {
  const first = await startOperator();
  await first.said('following');
  await ground.create('big', { workerGroupSpecs: [group(199)] });
  await until('a part of the pods', 30_000, async () => (await ground.pods('big')).length >= 40, 5);
  await first.kill();
  const left = (await ground.pods('big')).length;
  expect(left).toBeGreaterThanOrEqual(40);
  expect(left).toBeLessThan(200);
  await startOperator();
  await ground.settled('big', 199, 60_000);
  const pods = await ground.pods('big');
  expect(pods).toHaveLength(200);
  expect(pods.filter(({ metadata }) => metadata.labels?.[labels.nodeType] === 'head')).toHaveLength(1);
  await ground.remove('big');
  await until('all are gone', 60_000, async () => (await ground.pods('big')).length === 0);
});

test('of two operators one leads; when it dies the other takes over, when it stops at once', async () => {
  const [one, other] = [await startOperator(), await startOperator()];
  const first = await Promise.race([one.said('following').then(() => one), other.said('following').then(() => other)]);
  const second = first === one ? other : one;
  await ground.create('handed-on', { workerGroupSpecs: [group(1)] });
  await ground.settled('handed-on', 1);
  expect(await second.metric('leader_election_master_status')).toBe(0);
  expect(await second.metric('controller_runtime_reconcile_total')).toBe(0);
  await first.kill();
  await second.said('following');
  await ground.change('handed-on', { workerGroupSpecs: [group(3)] });
  await ground.settled('handed-on', 3);
  const third = await startOperator();
  await second.stop();
  const holder = await ground.bed.kubectl(
    '-n',
    'ray-system',
    'get',
    'lease',
    'ray-operator',
    '-o',
    'jsonpath={.spec.holderIdentity}',
  );
  expect(holder === '' || holder === third.lines[0]?.identity).toBe(true);
  await third.said('following');
  await ground.change('handed-on', { workerGroupSpecs: [group(2)] });
  await ground.settled('handed-on', 2);
});

test('an API server that dies and comes back finds the operator at work again', async () => {
  const operator = await startOperator();
  await operator.said('following');
  await ground.create('outage', { workerGroupSpecs: [group(2)] });
  await ground.settled('outage', 2);
  await ground.bed.killApiServer();
  // Long enough for the lease to be lost: it may not act on what it once knew.
  await operator.said('the lease is lost');
  await ground.bed.startApiServer();
  await ground.change('outage', { workerGroupSpecs: [group(4)] });
  await ground.settled('outage', 4);
  await operator.stop();
});
