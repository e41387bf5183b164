/**
 * Pods, heads and nodes are lost at random, and the operator itself is killed: whatever happened, once it is over every cluster
 * comes to exactly what its spec says. IOCLOUD_CHAOS_SECONDS makes it longer, IOCLOUD_CHAOS_SEED repeats one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { labels, type Pod } from '@iocloud/ray-operator';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../src/harness/processes.js';
import { Ground, group } from './ground.js';
import { OperatorProcess } from './operator-process.js';

const seconds = Number(process.env.IOCLOUD_CHAOS_SECONDS ?? 40);
const seed = Number(process.env.IOCLOUD_CHAOS_SEED ?? Date.now() % 1_000_000);
const nodes = 6;
/** Orphans of a node that is gone are collected by Kubernetes itself, which waits for up to a minute. */
const convergenceMs = 240_000;

let ground: Ground;
let operator: OperatorProcess;

beforeAll(async () => {
  ground = await Ground.make(nodes);
  operator = await startOperator();
});

afterAll(async () => {
  await operator?.kill();
  await ground?.stop();
});

async function startOperator(): Promise<OperatorProcess> {
  const started = await OperatorProcess.start(ground.bed, { RAY_OPERATOR_LATE_POD_SECONDS: '5' });
  await started.said('following', 60_000);
  return started;
}

/** The generator of Park and Miller: what happens follows from the seed, as far as the world keeps pace. */
function randomOf(start: number): () => number {
  let state = (start % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

interface Wanted {
  name: string;
  workers: number;
  hosts: number;
}

const wanted: Wanted[] = [
  { name: 'wide', workers: 12, hosts: 1 },
  { name: 'paired', workers: 8, hosts: 2 },
  { name: 'small', workers: 2, hosts: 1 },
];
const groupOf = ({ workers, hosts }: Wanted) => group(workers / hosts, { numOfHosts: hosts });

test(
  `after ${seconds} s of losses (seed ${seed}) all is as the specs say`,
  async () => {
    for (const each of wanted) await ground.create(each.name, { workerGroupSpecs: [groupOf(each)] });
    for (const { name, workers } of wanted) await ground.settled(name, workers, 60_000);
    const random = randomOf(seed);
    const oneOf = <T>(list: T[]): T | undefined => list[Math.floor(random() * list.length)];
    const counts: Record<string, number> = {};
    const lostNodes = new Set<string>();
    const end = Date.now() + seconds * 1000;

    const happenings: [weight: number, name: string, happen: (cluster: Wanted, pods: Pod[]) => Promise<void>][] = [
      [10, 'pods deleted', (_, pods) => remove(pods.filter(() => random() < 0.3))],
      [4, 'heads deleted', (_, pods) => remove(pods.filter(pod => nodeTypeOf(pod) === 'head'))],
      [
        4,
        'pods lost without a word',
        (_, pods) =>
          remove(
            pods.filter(() => random() < 0.2),
            '--force',
            '--grace-period=0',
          ),
      ],
      [3, 'pods failed', (_, pods) => fail(oneOf(pods))],
      [2, 'specs changed', cluster => rescale(cluster)],
      [1, 'nodes lost', () => loseNode()],
      [1, 'operator killed', () => replaceOperator()],
    ];
    const total = happenings.reduce((sum, [weight]) => sum + weight, 0);

    while (Date.now() < end) {
      let at = random() * total;
      const happening = happenings.find(([weight]) => {
        at -= weight;
        return at < 0;
      });
      const cluster = oneOf(wanted);
      if (!happening || !cluster) continue;
      const [, name, happen] = happening;
      await happen(cluster, await ground.pods(cluster.name));
      counts[name] = (counts[name] ?? 0) + 1;
      await sleep(200);
    }
    process.stderr.write(`chaos: ${JSON.stringify({ ...counts, 'nodes lost': lostNodes.size })}\n`);

    const over = Date.now();
    for (const each of wanted) {
      await ground.settled(each.name, each.workers, convergenceMs);
      await until(`${each.name} has left the lost nodes`, convergenceMs, async () =>
        (await ground.pods(each.name)).every(({ spec }) => !lostNodes.has(spec?.nodeName ?? '')),
      );
      await ground.settled(each.name, each.workers, convergenceMs);
      const pods = await ground.pods(each.name);
      expect(pods.filter(pod => nodeTypeOf(pod) === 'head')).toHaveLength(1);
      expect(pods).toHaveLength(each.workers + 1);
      if (each.hosts > 1) expect(replicasOf(pods)).toEqual(Array(each.workers / each.hosts).fill('0,1'));
    }
    process.stderr.write(`chaos: all as it should be after ${((Date.now() - over) / 1000).toFixed(1)} s\n`);

    async function remove(pods: Pod[], ...how: string[]): Promise<void> {
      const names = pods.map(({ metadata }) => metadata.name);
      if (names.length > 0)
        await ground.bed.kubectl('delete', 'pod', '--wait=false', '--ignore-not-found', ...how, ...names);
    }

    async function fail(pod: Pod | undefined): Promise<void> {
      if (!pod) return;
      const patch = JSON.stringify({ status: { phase: 'Failed', reason: 'Evicted' } });
      await ground.bed
        .kubectl('patch', 'pod', pod.metadata.name, '--subresource=status', '-p', patch)
        .catch((error: { stderr?: string }) => {
          if (!error.stderr?.includes('not found')) throw error;
        });
    }

    async function rescale(cluster: Wanted): Promise<void> {
      cluster.workers = cluster.hosts * (1 + Math.floor(random() * (12 / cluster.hosts)));
      await ground.change(cluster.name, { workerGroupSpecs: [groupOf(cluster)] });
    }

    /** Some stay: pods have to go somewhere. Late losses would only be waited for. */
    async function loseNode(): Promise<void> {
      const left = Array.from({ length: nodes }, (_, index) => `kwok-${String(index).padStart(4, '0')}`).filter(
        name => !lostNodes.has(name),
      );
      const name = oneOf(left);
      if (!name || left.length <= 3) return;
      lostNodes.add(name);
      await ground.bed.kubectl('delete', 'node', name);
    }

    async function replaceOperator(): Promise<void> {
      await operator.kill();
      operator = await startOperator();
    }
  },
  seconds * 1000 + 3 * convergenceMs,
);

const nodeTypeOf = (pod: Pod) => pod.metadata.labels?.[labels.nodeType];

/** The hosts of each replica. */
function replicasOf(pods: Pod[]): string[] {
  const replicas = new Map<string, string[]>();
  for (const { metadata } of pods.filter(pod => nodeTypeOf(pod) === 'worker')) {
    const replica = metadata.labels?.[labels.replicaName] ?? '';
    replicas.set(replica, [...(replicas.get(replica) ?? []), metadata.labels?.[labels.hostIndex] ?? '']);
  }
  return [...replicas.values()].map(hosts => hosts.sort().join());
}
