/**
 * Real faults under running jobs on real Ray, one after the other: a killed head, a killed raylet, a killed machine, a
 * machine that is cut off, a drained machine, in turn. Two machines with a cluster each; the other one is warm.
 * `--faults N` (20 by default). Detection: from the fault to the end of the attempt on record; back: to the job's first
 * line in its next attempt.
 */
import { parseArgs } from 'node:util';
import { counting, type Machine, marksOf, Stack, until } from '../src/harness/index.js';
import { percentile, report } from './measure.js';

const { values } = parseArgs({ options: { faults: { type: 'string', default: '20' } } });
const wanted = Number(values.faults);
const kinds = ['head', 'raylet', 'machine', 'cut off', 'drained'] as const;
type Kind = (typeof kinds)[number];

const killMatching = (machine: Machine, pattern: RegExp) => {
  for (const { pid } of machine.processes().filter(({ command }) => pattern.test(command)))
    process.kill(pid, 'SIGKILL');
};

const faults: Record<Kind, { strike(machine: Machine): unknown; heal(machine: Machine): unknown }> = {
  head: { strike: machine => killMatching(machine, /gcs_server/), heal: () => undefined },
  raylet: { strike: machine => killMatching(machine, /\/raylet\/raylet /), heal: () => undefined },
  machine: { strike: machine => machine.killAll(), heal: machine => machine.start() },
  'cut off': { strike: machine => machine.signalAgent('SIGSTOP'), heal: machine => machine.signalAgent('SIGCONT') },
  drained: {
    strike: machine => stack.call('POST', `/v1/nodes/${machine.id}/drain`, { graceSeconds: 30, reason: 'bench' }),
    heal: machine => stack.call('POST', `/v1/nodes/${machine.id}/undrain`),
  },
};

const stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1' } });
const times = new Map<Kind, { detectedMs: number[]; backMs: number[] }>();
let recovered = 0;
try {
  const machines = [await stack.machine('left'), await stack.machine('right')];
  const clusters = [];
  for (const name of ['alpha', 'beta']) clusters.push((await stack.cluster(name, { head: { cpus: 3 } })).id as string);
  for (let i = 0; i < wanted; i += 1) {
    const kind = kinds[i % kinds.length] ?? 'head';
    for (const id of clusters) await stack.clusterIn(id, 'ready', 180_000);
    const id = `fault-${i}`;
    await stack.submit(counting(stack, id, 100_000), { submission_id: id, metadata: { 'io.grace_seconds': '3' } });
    await until(`${id} counts`, 90_000, () => marksOf(stack, id).some(mark => mark.step >= 4));
    const { clusterId } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
    const [lease] = (await stack.call('GET', `/v1/clusters/${clusterId}`)).body.leases;
    const machine = machines.find(one => one.id === lease.nodeId);
    if (!machine) throw new Error(`${clusterId} stands on none of the two machines`);
    const struckAt = Date.now();
    await faults[kind].strike(machine);
    const again = await until(`${id} runs again after: ${kind}`, 180_000, () =>
      marksOf(stack, id).find(mark => mark.what === 'began' && mark.attempt === 2),
    );
    const { attempts } = (await stack.call('GET', `/v1/jobs/${id}`)).body;
    if (again.step < 4 || attempts.length !== 2) throw new Error(`${id}: ${JSON.stringify({ again, attempts })}`);
    const kept = times.get(kind) ?? { detectedMs: [], backMs: [] };
    kept.detectedMs.push(Date.parse(attempts[0].endedAt) - struckAt);
    kept.backMs.push(again.atMs - struckAt);
    times.set(kind, kept);
    recovered += 1;
    await stack.call('POST', `/api/jobs/${id}/stop`);
    await until(`${id} stops`, 30_000, async () => (await stack.job(id)).status === 'STOPPED');
    await faults[kind].heal(machine);
    await machine.online();
  }
} finally {
  const summary = (lists: number[]) => ({
    p50: percentile(lists, 50),
    p95: percentile(lists, 95),
    most: Math.max(...lists),
  });
  const all = [...times.values()];
  report('recovery', {
    faults: wanted,
    recovered,
    detectedMs: summary(all.flatMap(kind => kind.detectedMs)),
    backMs: summary(all.flatMap(kind => kind.backMs)),
    aim: 'all recovered; detection <= 5000; back p95 <= 30000',
    byKind: Object.fromEntries(
      [...times].map(([kind, { detectedMs, backMs }]) => [
        kind,
        { detectedMs: summary(detectedMs), backMs: summary(backMs) },
      ]),
    ),
  });
  await stack.stop();
}
