/**
 * Very many agents on one control plane: `--agents` (5,000) connect at once, send heartbeats for `--seconds` (60), lose it
 * to a kill -9 and come back, and are broken off at random, 1 % of them each ten seconds. Real: control plane, PostgreSQL,
 * Redis, SSH and the agents' protocol over loopback. Pretended, in a second process (agents/swarm.ts): the machines.
 *
 * By hand: some minutes of an idle machine, which the swarm itself takes half of. Ends by itself after `--minutes` (15).
 * `--cpu-profile DIR` writes profiles of the control plane there.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { NodeId } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { Stack, until } from '../src/harness/index.js';
import type { Orders, SwarmReport } from './agents/swarm.js';
import { report } from './measure.js';
import { cpuBetween, footprints } from './scale/footprint.js';
import { profilable, profiled } from './scale/profile.js';
import { each } from './scale/world.js';

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '15' },
    'cpu-profile': { type: 'string' },
  },
});
const agents = Number(values.agents);
const seconds = Number(values.seconds);
const churnEveryMs = 10_000;
const clientsAtOnce = 16;
/** A machine that hears nothing for so long ends its Ray nodes itself: README, IOCLOUD_NODE_LOST_SECONDS. */
const fenceSeconds = 10.7;

const profile = values['cpu-profile'];
const stack = await Stack.start({
  env: { IOCLOUD_VERIFICATION: 'off', ...(profile === undefined ? {} : profilable) },
});
const during = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  profile === undefined ? work() : profiled(stack, profile, name, work);
const program = fileURLToPath(new URL('agents/swarm.js', import.meta.url));
const swarm = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] });
let latest: SwarmReport = { connected: 0, losses: 0, failures: 0 };
swarm.on('message', (message: SwarmReport) => {
  latest = message;
});
const overdue = setTimeout(() => {
  process.stderr.write('the benchmark takes too long and ends\n');
  void stopAll().finally(() => process.exit(1));
}, 60_000 * Number(values.minutes));
async function stopAll(): Promise<void> {
  clearTimeout(overdue);
  if (swarm.exitCode === null && swarm.signalCode === null) {
    const gone = once(swarm, 'exit');
    swarm.kill('SIGKILL');
    await gone;
  }
  await stack.stop();
}

async function enrol(): Promise<Orders['agents']> {
  const made: Orders['agents'] = [];
  await each(agents, clientsAtOnce, async index => {
    const key = newSshKeyPair();
    const { status, body } = await stack.call('POST', '/v1/nodes', { name: `swarm-${index}`, publicKey: key.public });
    if (status !== 201) throw new Error(`POST /v1/nodes: ${status} ${JSON.stringify(body)}`);
    made.push({ nodeId: body.id as NodeId, privateKey: key.private });
  });
  return made;
}

/** Those that the API calls online, of the swarm's. */
async function online(): Promise<number> {
  let [count, after] = [0, ''];
  for (;;) {
    const { body } = await stack.call('GET', `/v1/nodes?limit=1000${after && `&after=${after}`}`);
    for (const { state, name } of body.items) if (state === 'online' && name.startsWith('swarm-')) count += 1;
    if (body.next === null) return count;
    after = body.next;
  }
}

/** Seconds until all are connected, and until the API says so. */
async function allThere(what: string, startedMs: number) {
  const since = () => (performance.now() - startedMs) / 1_000;
  let told = 0;
  await until(`all are connected ${what}`, 300_000, () => {
    if (since() - told > 5) {
      told = since();
      process.stderr.write(
        `${what}: ${latest.connected} after ${told.toFixed(0)} s, load ${loadavg()[0]?.toFixed(1)}\n`,
      );
    }
    return latest.connected >= agents;
  });
  const connectedSeconds = since();
  await until(`the API calls all online ${what}`, 120_000, async () => (await online()) >= agents, 1_000);
  return { connectedSeconds, onlineSeconds: since() };
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));
/** Processor seconds a second of time while `work` goes on, and what was lost meanwhile. */
async function measured(work: () => Promise<void>) {
  const [before, lost, startedMs] = [await footprints(stack), latest.losses, performance.now()];
  await work();
  const after = await footprints(stack);
  const took = (performance.now() - startedMs) / 1_000;
  const cpu = cpuBetween(before, after);
  return {
    seconds: took,
    processors: { controlPlane: cpu.controlPlane / took, postgres: cpu.postgres / took },
    memoryMiB: after.totalMiB,
    controlPlaneMiB: after.controlPlane.pssMiB,
    connectionsLost: latest.losses - lost,
  };
}

try {
  const enrolStartedMs = performance.now();
  const made = await enrol();
  const enrolSeconds = (performance.now() - enrolStartedMs) / 1_000;
  const { controlPlane } = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8')) as Orders;
  const firstStartedMs = performance.now();
  swarm.send({ controlPlane, agents: made } satisfies Orders);
  const first = await during('at-first', () => allThere('at first', firstStartedMs));
  await pause(10_000);
  const steady = await during('steady', () => measured(() => pause(1_000 * seconds) as Promise<void>));
  const killedMs = performance.now();
  await stack.kill9('control plane');
  const servesSeconds = (performance.now() - killedMs) / 1_000;
  const again = await allThere('after the restart', killedMs);
  const churned = await measured(async () => {
    for (let left = seconds * 1_000; left > 0; left -= churnEveryMs) {
      swarm.send({ breakOff: Math.ceil(agents / 100) });
      await pause(churnEveryMs);
    }
  });
  const onlineAtTheEnd = await online();
  report('agents', {
    pretended: 'the machines',
    agents,
    enrolSeconds,
    first,
    steady,
    restart: { servesSeconds, ...again },
    churn: { ...churned, brokenOffEachTenSeconds: Math.ceil(agents / 100) },
    onlineAtTheEnd,
    failedConnections: latest.failures,
    limit: { what: 'a machine ends its Ray nodes after so long without a word', seconds: fenceSeconds },
    ratio: { reconnectToFence: again.connectedSeconds / fenceSeconds },
    loadAverage: loadavg(),
  });
} finally {
  await stopAll();
}
