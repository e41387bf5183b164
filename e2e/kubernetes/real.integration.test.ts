/** Ray itself in real pods: what the operator makes is run by kubelets, and Ray's own client and autoscaler work with it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isNotFound, labels, objectPath, resources } from '@iocloud/ray-operator';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, rayGroup, rayTemplate } from './ground.js';
import { OperatorProcess } from './operator-process.js';
import { type RealBed, realBedObstacle } from './real-bed.js';
import { Redis } from './redis.js';

const obstacle = realBedObstacle();
if (obstacle) process.stderr.write(`${obstacle}: Ray in real pods is NOT tested in this run\n`);
const where = obstacle ? describe.skip : describe;
const patienceMs = 300_000;

where('Ray in real pods', () => {
  let ground: Ground<RealBed>;
  let operator: OperatorProcess;

  beforeAll(async () => {
    ground = await Ground.real(2);
    operator = await OperatorProcess.start(ground.bed);
    await operator.said('following');
  }, patienceMs);

  afterAll(async () => {
    await operator?.stop();
    await ground?.stop();
  }, patienceMs);

  /** The head does no work of its own. */
  const headGroupSpec = { rayStartParams: { 'num-cpus': '0' }, template: rayTemplate('ray-head') };

  /** A program as a job, handed in with Ray's own command line at the Jobs API of the head's service; its output. */
  async function submit(cluster: string, program: string): Promise<string> {
    const { data } = await ground.secret(cluster);
    const token = Buffer.from(data.auth_token ?? '', 'base64').toString();
    const address = `http://127.0.0.1:${await ground.bed.forward(await ground.headAddress(cluster), 8265)}`;
    const env = { ...process.env, RAY_ADDRESS: address, RAY_AUTH_MODE: 'token', RAY_AUTH_TOKEN: token };
    const ray = join(process.env.IOCLOUD_VENV ?? '', 'bin', 'ray');
    return (await promisify(execFile)(ray, ['job', 'submit', '--', 'python', '-c', program], { env })).stdout;
  }

  test(
    'Ray’s own autoscaler brings workers for a job that needs them, and has them taken away when they are idle',
    async () => {
      await ground.create('auto', {
        enableInTreeAutoscaling: true,
        autoscalerOptions: {
          version: 'v2',
          idleTimeoutSeconds: 5,
          resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '1', memory: '512Mi' } },
        },
        headGroupSpec,
        workerGroupSpecs: [rayGroup(0, { minReplicas: 0, maxReplicas: 2 })],
      });
      await ground.settled('auto', 0, patienceMs);
      const program = [
        'import ray, time',
        'ray.init()',
        '@ray.remote(num_cpus=1)',
        'def where():',
        '    time.sleep(5)',
        '    return ray.get_runtime_context().get_node_id()',
        'print("on", len(set(ray.get([where.remote() for _ in range(2)]))), "nodes")',
      ].join('\n');
      expect(await submit('auto', program)).toContain('on 2 nodes');
      const went = await until('the autoscaler has named both', patienceMs, async () => {
        const [group] = (await ground.get('auto')).spec.workerGroupSpecs ?? [];
        return group?.replicas === 0 && group.scaleStrategy?.workersToDelete;
      });
      expect(went).toHaveLength(2);
      await ground.settled('auto', 0, patienceMs);
      await ground.remove('auto');
    },
    patienceMs * 2,
  );

  test(
    'with fault tolerance a head that is lost comes back with its state, its worker works on, and Redis is clean in the end',
    async () => {
      const redis = await Redis.start(ground.bed);
      await ground.bed.kubectl('create', 'secret', 'generic', 'redis', `--from-literal=password=${redis.password}`);
      await ground.create('lasting', {
        gcsFaultToleranceOptions: {
          redisAddress: `redis://${redis.address}`,
          redisPassword: { valueFrom: { secretKeyRef: { name: 'redis', key: 'password' } } },
          externalStorageNamespace: 'lasting-state',
        },
        headGroupSpec,
        workerGroupSpecs: [rayGroup(1)],
      });
      const other = await redis.command('SET', 'RAYof-another@KV', 'untouched');
      expect(other).toBe('OK');
      await ground.settled('lasting', 1, patienceMs);
      const [worker] = await workers('lasting');
      const count = (first: string) =>
        [
          'import ray',
          'ray.init(namespace="test")',
          '@ray.remote(num_cpus=0.1)',
          'class Counter:',
          '    value = 0',
          '    def more(self):',
          '        self.value += 1',
          '        return self.value',
          first,
          'print("counted", ray.get(counter.more.remote()))',
        ].join('\n');
      const made = count('counter = Counter.options(name="counter", lifetime="detached").remote()');
      expect(await submit('lasting', made)).toContain('counted 1');
      expect(await redis.keys('RAYlasting-state@*')).not.toEqual([]);

      const [head] = (await ground.pods('lasting')).filter(pod => pod.metadata.name === 'lasting-head');
      await ground.bed.kubectl('delete', 'pod', 'lasting-head', '--force', '--grace-period=0');
      await until('another head is ready', patienceMs, async () => {
        const [next] = (await ground.pods('lasting')).filter(pod => pod.metadata.name === 'lasting-head');
        return next && next.metadata.uid !== head?.metadata.uid && (await ready('lasting'));
      });
      await ground.settled('lasting', 1, patienceMs);
      expect(await submit('lasting', count('counter = ray.get_actor("counter")'))).toContain('counted 2');
      expect(await workers('lasting')).toEqual([worker]);

      await ground.remove('lasting');
      await until('the cluster is gone', patienceMs, () =>
        ground.get('lasting').then(
          () => false,
          (error: unknown) => isNotFound(error),
        ),
      );
      expect(await redis.keys('*')).toEqual(['RAYof-another@KV']);
      const events = await ground.bed.kubectl('get', 'events', '-o', 'jsonpath={.items[*].reason}');
      expect(events).toContain('CleanedRedis');
    },
    patienceMs * 2,
  );

  /** Who they are, and how often they were started anew. */
  async function workers(cluster: string) {
    const pods = (await ground.pods(cluster)).filter(({ metadata }) => metadata.labels?.[labels.nodeType] === 'worker');
    return pods.map(({ metadata, status }) => [metadata.uid, status?.containerStatuses?.[0]?.restartCount]);
  }

  async function ready(cluster: string): Promise<boolean> {
    const path = objectPath(resources.pods, 'default', `${cluster}-head`);
    const { status } = await ground.admin.get<Awaited<ReturnType<typeof ground.pods>>[number]>(path);
    return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  }
});
