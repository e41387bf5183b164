/** Ray itself in real pods: what the operator makes is run by kubelets, and Ray's own client and autoscaler work with it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ground, rayGroup, rayTemplate } from './ground.js';
import { OperatorProcess } from './operator-process.js';
import { type RealBed, realBedObstacle } from './real-bed.js';

const obstacle = realBedObstacle();
if (obstacle) process.stderr.write(`${obstacle}: Ray in real pods is NOT tested in this run\n`);
const where = obstacle ? describe.skip : describe;
const startMs = 240_000;

where('Ray in real pods', () => {
  let ground: Ground<RealBed>;
  let operator: OperatorProcess;

  beforeAll(async () => {
    ground = await Ground.real(2);
    operator = await OperatorProcess.start(ground.bed);
    await operator.said('following');
  }, startMs);

  afterAll(async () => {
    await operator?.stop();
    await ground?.stop();
  }, startMs);

  /** Ray's command line, as its users have it, on the Jobs API of the cluster's head service. */
  async function ray(cluster: string, ...args: string[]): Promise<string> {
    const { data } = await ground.secret(cluster);
    const token = Buffer.from(data.auth_token ?? '', 'base64').toString();
    const address = `http://127.0.0.1:${await ground.bed.forward(await ground.headAddress(cluster), 8265)}`;
    const env = { ...process.env, RAY_ADDRESS: address, RAY_AUTH_MODE: 'token', RAY_AUTH_TOKEN: token };
    const program = join(process.env.IOCLOUD_VENV ?? '', 'bin', 'ray');
    return (await promisify(execFile)(program, args, { env })).stdout;
  }

  test(
    'a head and a worker on two nodes find each other, and run a job that is handed in with ray job submit',
    async () => {
      await ground.create('demo', {
        headGroupSpec: { rayStartParams: { 'num-cpus': '0' }, template: rayTemplate('ray-head') },
        workerGroupSpecs: [rayGroup(1)],
      });
      await ground.settled('demo', 1, startMs);
      const program = 'import ray; ray.init(); print("at", ray.get(ray.remote(lambda: 6 * 7).remote()))';
      expect(await ray('demo', 'job', 'submit', '--', 'python', '-c', program)).toContain('at 42');
    },
    startMs,
  );
});
