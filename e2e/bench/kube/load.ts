/** Arrivals and departures against a Kubernetes API: the scheduler always has pods waiting, and the oldest leave for new ones. */
import { setTimeout as after } from 'node:timers/promises';
import { until } from '../../src/harness/index.js';
import { randomFrom } from '../fleet-world.js';
import type { ControlPlane } from './control-plane.js';
import { type Arrival, arrival, modelOf, nodeShape, perGpu, standingGpus } from './mix.js';

/** Pods that wait for the scheduler at any time: enough that it never waits for them. */
export const waiting = 256;
const pods = '/api/v1/namespaces/default/pods';
const label = 'gpu-model';

export interface PeerFigures {
  /** Pods bound to a node a second, as a watch of the API sees them. */
  perSecond: number;
  bound: number;
  windowS: number;
  /** Attempts of the scheduler in the window, by result. */
  attempts: Record<string, number>;
  /** Mean of the scheduler's own measure: filtering and scoring of one pod, no call of the API in it. */
  algorithmMs: number;
  /** How often the API server ended the client's watch, which then went on from where it was. */
  rewatched: number;
  /** Processors that each part kept busy in the window. */
  cpus: Record<string, number>;
}

const amounts = (gpus: number, cpus: number, memoryGiB: number) => ({
  'nvidia.com/gpu': String(gpus),
  cpu: String(cpus),
  memory: `${memoryGiB}Gi`,
});

export async function createNodes(plane: ControlPlane, count: number): Promise<void> {
  const allocatable = { ...amounts(nodeShape.gpus, nodeShape.cpus, nodeShape.memoryGiB), pods: '110' };
  await Promise.all(
    Array.from({ length: count }, (_, number) => {
      const name = `node-${String(number).padStart(5, '0')}`;
      const labels = { [label]: modelOf(number), 'kubernetes.io/hostname': name };
      return plane.api.call('POST', '/api/v1/nodes', {
        metadata: { name, labels },
        status: { allocatable, capacity: allocatable },
      });
    }),
  );
  await until('KWOK has made the last nodes ready', 60_000, async () => {
    plane.check();
    const { items } = JSON.parse(await plane.api.call('GET', '/api/v1/nodes')) as {
      items: { status: { conditions?: { type: string; status: string }[] } }[];
    };
    return items.every(({ status }) => status.conditions?.some(one => one.type === 'Ready' && one.status === 'True'));
  });
}

const pod = (name: string, { model, gpus }: Arrival) => ({
  metadata: { name },
  spec: {
    nodeSelector: { [label]: model },
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'main',
        image: 'none',
        resources: {
          requests: amounts(gpus, gpus * perGpu.cpus, gpus * perGpu.memoryGiB),
          limits: { 'nvidia.com/gpu': String(gpus) },
        },
      },
    ],
  },
});

/** Sums of the scheduler's counters, by name and by the label `result`. */
async function counters(plane: ControlPlane): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const line of (await plane.schedulerMetrics()).split('\n')) {
    const found =
      /^scheduler_(schedule_attempts_total|scheduling_algorithm_duration_seconds_(?:sum|count))(.*) (\S+)$/.exec(line);
    if (!found) continue;
    const key = /result="(\w+)"/.exec(found[2] ?? '')?.[1] ?? (found[1] as string);
    sums.set(key, (sums.get(key) ?? 0) + Number(found[3]));
  }
  return sums;
}

/** Fills the nodes to the standing population, goes on so for `warmS`, and measures for `windowS` seconds. */
export async function measurePeer(
  plane: ControlPlane,
  nodes: number,
  { warmS, windowS }: { warmS: number; windowS: number },
): Promise<PeerFigures> {
  const random = randomFrom(2);
  const limit = standingGpus(nodes);
  const unbound = new Map<string, Arrival>();
  const bound: { name: string; gpus: number }[] = [];
  let oldest = 0;
  let inUse = 0;
  let created = 0;
  let lastBoundAt = performance.now();
  let over = false;
  let rewatched = 0;
  let failure: unknown;
  const fail = (error: unknown) => {
    if (!over) failure ??= error;
  };
  const arrive = () => {
    while (!over && unbound.size < waiting) {
      const name = `pod-${created++}`;
      const wanted = arrival(random);
      unbound.set(name, wanted);
      plane.api.call('POST', pods, pod(name, wanted)).catch(fail);
    }
  };
  const onBound = (name: string) => {
    const wanted = unbound.get(name);
    if (!wanted) return;
    unbound.delete(name);
    bound.push({ name, gpus: wanted.gpus });
    lastBoundAt = performance.now();
    inUse += wanted.gpus;
    for (let first = bound[oldest]; inUse > limit && first; first = bound[++oldest]) {
      plane.api.call('DELETE', `${pods}/${first.name}`).catch(fail);
      inUse -= first.gpus;
    }
    arrive();
  };
  const follow = async () => {
    for (let from = ''; !over; rewatched += 1) {
      // With this selector a pod is added to what is watched at the moment when it is bound; without a version all that are come first.
      for await (const { type, object } of plane.api.watch(`${pods}?watch=1&fieldSelector=spec.nodeName!=${from}`)) {
        if (over) return;
        if (type === 'ADDED' && object.metadata?.name) onBound(object.metadata.name);
        from = type === 'ERROR' ? '' : `&resourceVersion=${object.metadata?.resourceVersion}`;
      }
    }
  };
  const stillWell = () => {
    plane.check();
    if (failure) throw failure;
    if (performance.now() - lastBoundAt > 30_000) throw new Error(`nothing was bound for 30 s, ${unbound.size} wait`);
  };
  const pass = async (seconds: number) => {
    for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) {
      stillWell();
      await after(Math.max(0, Math.min(100, end - performance.now())));
    }
  };
  const following = follow().catch(fail);
  try {
    arrive();
    while (oldest === 0) await pass(0.1);
    await pass(warmS);
    const before = { counters: await counters(plane), cpu: plane.cpuSeconds(), bound: bound.length };
    const started = performance.now();
    await pass(windowS);
    const tookS = (performance.now() - started) / 1_000;
    const end = { counters: await counters(plane), cpu: plane.cpuSeconds(), bound: bound.length };
    const grown = (key: string) => (end.counters.get(key) ?? 0) - (before.counters.get(key) ?? 0);
    const algorithm = 'scheduling_algorithm_duration_seconds';
    return {
      perSecond: (end.bound - before.bound) / tookS,
      bound: end.bound - before.bound,
      windowS: tookS,
      attempts: { scheduled: grown('scheduled'), unschedulable: grown('unschedulable'), error: grown('error') },
      algorithmMs: (grown(`${algorithm}_sum`) / grown(`${algorithm}_count`)) * 1_000,
      rewatched,
      cpus: Object.fromEntries(
        Object.entries(end.cpu).map(([part, seconds]) => [part, (seconds - (before.cpu[part] ?? 0)) / tookS]),
      ),
    };
  } finally {
    over = true;
    await plane.stop();
    await following;
  }
}
