/**
 * Very many jobs held by one control plane: `--jobs` running (20,000 by default) and `--launching` more (1,000) that
 * start at a steady pace while `--rate` requests a second (500) go to its API for `--seconds` (60). Real: the control
 * plane's process, PostgreSQL, Redis, the agents' SSH protocol and every byte that goes over it. Pretended, in a second
 * process (scale/stand-in.ts): the machines and the Ray heads on them with their jobs.
 *
 * What is not submitted or does not run after `--bring-up-minutes` (6) is not waited for, and the rest is measured all the
 * same.
 *
 * `--hold-until FILE`: with all up, holds them until the file is there, so that the traffic can be given a quiet machine.
 * `--cpu-profile DIR` writes profiles of the control plane there. Ends by itself after `--minutes` (12) at most.
 */
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Stack, until } from '../src/harness/index.js';
import { report } from './measure.js';
import { cpuBetween, type Footprints, footprints } from './scale/footprint.js';
import { profilable, profiled } from './scale/profile.js';
import { type Call, closeSockets, steadily, type TrafficResult } from './scale/traffic.js';
import { type BenchTenant, each, World } from './scale/world.js';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '20000' },
    launching: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '60' },
    tenants: { type: 'string', default: '8' },
    /** Log lines a second of all running jobs together. */
    lines: { type: 'string', default: '100' },
    'bring-up-minutes': { type: 'string', default: '6' },
    minutes: { type: 'string', default: '12' },
    'hold-until': { type: 'string' },
    'cpu-profile': { type: 'string' },
  },
});
const number = (name: Exclude<keyof typeof values, 'hold-until' | 'cpu-profile'>) => Number(values[name]);
const [jobs, launching, rate, seconds] = [number('jobs'), number('launching'), number('rate'), number('seconds')];
const submitters = 16;
const bringUpMs = 60_000 * number('bring-up-minutes');
const aims = { memoryMiB: 4_096, p99Ms: 100 };
const sampleIntervalMs = 5_000;
const holdingMs = 20_000;

/** Clients that keep asking: a submission that is refused for a moment is tried again. */
async function submit(stack: Stack, { apiKey }: BenchTenant, id: string): Promise<void> {
  const body = { submission_id: id, entrypoint: 'python train.py' };
  const { status, body: answer } = await stack.call('POST', '/api/jobs/', body, { authorization: `Bearer ${apiKey}` });
  if (status !== 200) throw new Error(`submission of ${id}: ${status} ${JSON.stringify(answer)}`);
}

/**
 * Brings the jobs up, as far as the time goes. The seconds until all were acknowledged, until all ran on their heads, and
 * until the API said so of all; null for what was not seen in time.
 */
async function bringUp(stack: Stack, world: World) {
  const startedMs = performance.now();
  const since = () => (performance.now() - startedMs) / 1_000;
  let acknowledged = 0;
  await each(jobs, submitters, async index => {
    if (1_000 * since() > bringUpMs) return;
    await submit(stack, tenantOf(world, index), `job-${index}`);
    acknowledged += 1;
  });
  const acknowledgedSeconds = since();
  process.stderr.write(`${acknowledged} jobs acknowledged after ${acknowledgedSeconds.toFixed(1)} s\n`);
  let told = 0;
  const withinMs = () => Math.max(1_000, bringUpMs - 1_000 * since());
  const done = async (what: string, isTrue: () => Promise<boolean> | boolean, everyMs: number) =>
    until(what, withinMs(), isTrue, everyMs).then(since, (error: Error) => {
      process.stderr.write(`${error.message}\n`);
      return null;
    });
  const allRun = () => {
    const { running } = world.report;
    if (performance.now() - told > 10_000) {
      told = performance.now();
      process.stderr.write(`${since().toFixed(0)} s: ${running} run, load ${loadavg()[0]?.toFixed(1)}\n`);
    }
    return running >= jobs;
  };
  const runningSeconds = await done(`${jobs} jobs run`, allRun, 500);
  const saysSo = async () => (await queuedOrLaunching(stack, world)) === 0;
  const toldSeconds = runningSeconds === null ? null : await done('the API says so of all', saysSo, 1_000);
  return { acknowledged, acknowledgedSeconds, runningSeconds, toldSeconds };
}

const tenantOf = (world: World, index: number): BenchTenant => {
  const tenant = world.tenants[index % world.tenants.length];
  if (!tenant) throw new Error('there are tenants');
  return tenant;
};

/** How many jobs the API shows in one of these phases; counts at most a page of each tenant and phase. */
async function queuedOrLaunching(stack: Stack, world: World): Promise<number> {
  let found = 0;
  for (const { apiKey } of world.tenants) {
    for (const phase of ['queued', 'assigned']) {
      const headers = { authorization: `Bearer ${apiKey}` };
      found += (await stack.call('GET', `/v1/jobs?limit=1000&phase=${phase}`, undefined, headers)).body.items.length;
    }
  }
  return found;
}

/** Of a hundred calls some twenty read a page of jobs and some ten a log; the launching jobs are spread over all evenly. */
function callAt(world: World, held: number, index: number): Call {
  const every = Math.max(1, Math.floor((rate * seconds) / Math.max(1, launching)));
  const launch = Math.floor(index / every);
  if (index % every === 0 && launch < launching) {
    const body = { submission_id: `launch-${launch}`, entrypoint: `setup ${seconds}; python train.py` };
    const { apiKey } = tenantOf(world, launch);
    return { kind: 'submit', method: 'POST', path: '/api/jobs/', apiKey, body: JSON.stringify(body) };
  }
  const job = Math.floor(Math.random() * held);
  const { apiKey } = tenantOf(world, job);
  const chance = Math.random();
  if (chance < 0.1) return { kind: 'log', method: 'GET', path: `/api/jobs/job-${job}/logs`, apiKey };
  if (chance < 0.3) return { kind: 'page of 20', method: 'GET', path: '/v1/jobs?limit=20', apiKey };
  return { kind: 'status', method: 'GET', path: `/api/jobs/job-${job}`, apiKey };
}

/** Looks at the memory now and then until the work is done; the look with the most. */
async function most(stack: Stack, work: Promise<unknown>): Promise<Footprints> {
  let done = false;
  const end = () => {
    done = true;
  };
  work.then(end, end);
  let highest = await footprints(stack);
  while (!done) {
    await new Promise(resolve => setTimeout(resolve, sampleIntervalMs));
    const now = await footprints(stack);
    if (now.totalMiB > highest.totalMiB) highest = now;
  }
  return highest;
}

/** The traffic, and how soon the jobs that launched in it run once their environments are made. */
async function underLoad(
  stack: Stack,
  world: World,
  held: number,
): Promise<{ traffic: TrafficResult; peak: Footprints }> {
  const traffic = steadily(stack.address, rate, seconds, index => callAt(world, held, index));
  const peak = await most(stack, traffic);
  return { traffic: await traffic, peak };
}

const overdue = setTimeout(() => {
  process.stderr.write('the benchmark takes too long and ends\n');
  void stopAll().finally(() => process.exit(1));
}, number('minutes') * 60_000);
const profile = values['cpu-profile'];
// Pretended machines have no devices that could prove anything.
const stack = await Stack.start({
  env: { IOCLOUD_VERIFICATION: 'off', ...(profile === undefined ? {} : profilable) },
});
const during = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  profile === undefined ? work() : profiled(stack, profile, name, work);
let world: World | undefined;
const stopAll = async () => {
  clearTimeout(overdue);
  closeSockets();
  await world?.stop();
  await stack.stop();
};
try {
  const startedMs = performance.now();
  world = await World.make(stack, jobs + launching, number('tenants'), number('lines'));
  const clustersSeconds = (performance.now() - startedMs) / 1_000;
  process.stderr.write(`${world.clusters} clusters are ready after ${clustersSeconds.toFixed(1)} s\n`);
  const empty = await footprints(stack);
  const own = world;
  const broughtUp = await during('bring-up', () => bringUp(stack, own));
  // Fresh jobs are looked at more often: the figures are those of jobs that have run for a while.
  await new Promise(resolve => setTimeout(resolve, 15_000));
  const go = values['hold-until'];
  if (go !== undefined) {
    process.stderr.write(`holding ${world.report.running} running jobs until ${go} is there\n`);
    await until(`${go} is there`, 60_000 * number('minutes'), () => existsSync(go), 500);
  }
  const held = await footprints(stack);
  await during('holding', () => new Promise(resolve => setTimeout(resolve, holdingMs)));
  const before = await footprints(stack);
  const loadBefore = loadavg();
  const runningBeforeTraffic = world.report.running;
  const { traffic, peak } = await during('under-load', () => underLoad(stack, own, broughtUp.acknowledged));
  const launchingAtTheEnd = await queuedOrLaunching(stack, world);
  const after = await footprints(stack);
  report('scale', {
    pretended: 'machines and Ray heads',
    jobs,
    launching,
    clusters: world.clusters,
    tenants: world.tenants.length,
    clustersSeconds,
    ...broughtUp,
    runningBeforeTraffic,
    launchingAtTheEnd,
    runningAtTheEnd: world.report.running,
    agentConnectionsLost: world.report.losses,
    memory: { empty, held, peak },
    cpuSeconds: {
      bringUp: cpuBetween(empty, held),
      twentySecondsOfHolding: cpuBetween(held, before),
      underLoad: cpuBetween(before, after),
    },
    traffic,
    ratio: { memory: peak.totalMiB / aims.memoryMiB, p99: traffic.all.p99Ms / aims.p99Ms },
    aim: '<= 1 both',
    loadAverage: { before: loadBefore, after: loadavg() },
  });
} finally {
  await stopAll();
}
