/**
 * A Ray cluster whose machines stand behind NATs of all kinds, each with outbound connections only: real agents, WireGuard, Ray
 * and control plane, on a pretended internet of network namespaces.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Internet, type Machine, networkObstacle, run, type Site, Stack, until } from './harness/index.js';

const obstacle = networkObstacle() ?? (process.env.IOCLOUD_WIREGUARD_GO ? null : 'IOCLOUD_WIREGUARD_GO is unset');
if (obstacle !== null) process.stderr.write(`${obstacle}: networks between machines are NOT tested\n`);
const ifPossible = obstacle === null ? test : test.skip;

/** A machine gives up a silent control plane a little earlier: long enough for an outage, short enough for a test. */
const nodeLostSeconds = 40;
let internet: Internet;
let stack: Stack;
let home: string;
const machines: Record<string, Machine> = {};
const sites: Record<string, Site> = {};
let clusterId: string;

/** Sizes that leave no choice: the head fits on one machine only, and so does each worker. */
const kinds = {
  relay: { kind: 'public', cpus: 1 },
  head: { kind: 'cone', cpus: 5 },
  b: { kind: 'cone', cpus: 4 },
  c: { kind: 'symmetric', cpus: 3 },
  d: { kind: 'udp-blocked', cpus: 2 },
} as const;
const group = (name: 'b' | 'c' | 'd') => ({ name, cpus: kinds[name].cpus, count: 1, resources: { [name]: 1 } });

async function add(name: string, kind: Site['kind'], cpus: number): Promise<void> {
  const site = await internet.site(kind);
  sites[name] = site;
  machines[name] = await stack.machine(name, { cpus, network: site }).catch(error => {
    throw new Error(`${error.message}\n${stack.logs()}`);
  });
}

beforeAll(async () => {
  if (obstacle !== null) return;
  home = mkdtempSync(join(tmpdir(), 'iocloud-e2e-'));
  internet = await Internet.up(home);
  const env = {
    IOCLOUD_NODE_CPUS: '1',
    IOCLOUD_SSH_HOST: '0.0.0.0',
    IOCLOUD_NODE_LOST_SECONDS: String(nodeLostSeconds),
  };
  stack = await Stack.start({ home, env });
  await add('relay', 'public', kinds.relay.cpus);
  const relayAddress = `${sites.relay?.outsideAddress}:51900`;
  const { status } = await stack.call('PATCH', `/v1/nodes/${machines.relay?.id}/terms`, { relayAddress });
  expect(status).toBe(200);
  for (const name of ['head', 'b', 'c', 'd'] as const) await add(name, kinds[name].kind, kinds[name].cpus);
}, 400_000);
afterAll(async () => {
  try {
    await stack?.stop();
  } finally {
    await internet?.remove();
    if (home) rmSync(home, { recursive: true, force: true });
  }
}, 120_000);

const show = async () => (await stack.call('GET', `/v1/clusters/${clusterId}`)).body;
const nameOf = (nodeId: string) => Object.entries(machines).find(([, { id }]) => id === nodeId)?.[0] ?? nodeId;

/** By machine, and the machine that it reaches, how. */
async function paths(): Promise<Record<string, Record<string, string>>> {
  const { network } = await show();
  return Object.fromEntries(
    network.members.map(({ nodeId, paths: all }: { nodeId: string; paths: { nodeId: string; path: string }[] }) => [
      nameOf(nodeId),
      Object.fromEntries(all.map(({ nodeId: to, path }) => [nameOf(to), path])),
    ]),
  );
}

async function leases(): Promise<Record<string, string>> {
  const all: { group: string; id: string; phase: string }[] = (await show()).leases;
  return Object.fromEntries(all.map(lease => [lease.group, lease.id]));
}

async function whole(timeoutMs = 300_000): Promise<void> {
  await until('all Ray nodes are ready', timeoutMs, async () => {
    const all: { phase: string }[] = (await show()).leases;
    return all.length === 4 && all.every(({ phase }) => phase === 'ready');
  }).catch(async error => {
    throw new Error(`${error.message}\n${JSON.stringify(await show())}\n${stack.logs()}`);
  });
}

interface Beat {
  atMs: number;
  name: string;
  pid: number;
}
const beatsFile = (id: string) => join(stack.shared, id);
const enoughFile = (id: string) => join(stack.shared, `${id}.enough`);

/** An actor on each worker, asked four times a second; one that is lost is not started anew, and the job fails. */
function beating(id: string, names: string): string {
  const program = `
import os, threading, time, ray
ray.init()
@ray.remote(max_restarts=0, num_cpus=0)
class Beater:
    def beat(self, load):
        return os.getpid(), ray.util.get_node_ip_address(), len(load)
failed = []
def follow(name):
    try:
        beater = Beater.options(resources={name: 1}).remote()
        while not os.path.exists("${enoughFile(id)}"):
            pid, address, _ = ray.get(beater.beat.remote(b"x" * 20000))
            with open("${beatsFile(id)}", "a") as file:
                file.write("%d %s %d\\n" % (time.time() * 1000, name, pid))
            time.sleep(0.25)
    except Exception as error:
        failed.append("%s: %r" % (name, error))
threads = [threading.Thread(target=follow, args=(name,)) for name in "${names}"]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failed, failed
print("all went on")
`;
  return `python - <<'PY'\n${program}\nPY`;
}

function beats(id: string): Beat[] {
  let text = '';
  try {
    text = readFileSync(beatsFile(id), 'utf8');
  } catch {
    return [];
  }
  return text
    .trim()
    .split('\n')
    .map(line => line.split(' '))
    .map(([atMs, name = '', pid]) => ({ atMs: Number(atMs), name, pid: Number(pid) }));
}

async function startBeating(id: string, names = 'bcd'): Promise<void> {
  await stack.submit(beating(id, names), {
    submission_id: id,
    metadata: { 'io.cluster': 'wide', 'io.max_attempts': '1' },
  });
  await until('all actors beat', 180_000, () => [...names].every(name => beats(id).some(beat => beat.name === name)));
}

/** All of them have beaten since then; the job ends well, and each actor was one process all along. */
async function wentOn(id: string, sinceMs: number, names = 'bcd'): Promise<void> {
  await until('all have beaten since', 60_000, () =>
    [...names].every(name => beats(id).some(beat => beat.name === name && beat.atMs > sinceMs + 1_000)),
  ).catch(async error => {
    throw new Error(`${error.message}\n${JSON.stringify(await paths())}\n${await stack.log(id)}\n${stack.logs()}`);
  });
  writeFileSync(enoughFile(id), '');
  expect(await stack.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  for (const name of names) {
    expect(new Set(beats(id).flatMap(beat => (beat.name === name ? [beat.pid] : []))).size).toBe(1);
  }
}

/** The longest pause between two beats of an actor from then on. Milliseconds. */
function longestPause(id: string, name: string, fromMs: number): number {
  const at = beats(id).flatMap(beat => (beat.name === name && beat.atMs >= fromMs - 2_000 ? [beat.atMs] : []));
  return Math.max(...at.slice(1).map((ms, i) => ms - (at[i] ?? ms)));
}

const tell = (what: string, id: string, fromMs: number, names = 'bcd') =>
  process.stdout.write(
    `${what}: longest pause ${[...names].map(name => `${name} ${longestPause(id, name, fromMs) / 1000} s`).join(', ')}\n`,
  );

describe('a cluster behind a cone NAT, with workers behind another, behind a symmetric one, and where UDP is blocked', () => {
  ifPossible(
    'runs a job that has a task on each, and they reach each other as well as their networks let them',
    async () => {
      const began = Date.now();
      const made = await stack.call('POST', '/v1/clusters', {
        name: 'wide',
        head: { cpus: kinds.head.cpus, resources: { head: 1 } },
        workerGroups: [group('b'), group('c'), group('d')],
      });
      expect(made.status).toBe(201);
      clusterId = made.body.id;
      await whole();
      process.stdout.write(`four machines: all Ray nodes ready after ${(Date.now() - began) / 1000} s\n`);
      const placed = Object.fromEntries(
        (await show()).leases.map((lease: { group: string; nodeId: string }) => [lease.group, nameOf(lease.nodeId)]),
      );
      expect(placed).toEqual({ head: 'head', b: 'b', c: 'c', d: 'd' });

      const program = `
import ray
ray.init()
@ray.remote(num_cpus=1)
def where(load):
    return ray.util.get_node_ip_address(), len(load)
big = ray.put(b"x" * 3_000_000)
print(sorted(ray.get([where.options(resources={name: 1}).remote(big) for name in ["head", "b", "c", "d"]])))
`;
      const job = await stack.submit(`python - <<'PY'\n${program}\nPY`, { metadata: { 'io.cluster': 'wide' } });
      expect((await stack.ended(job)).status).toBe('SUCCEEDED');
      const log = await stack.log(job);
      for (let slot = 1; slot <= 4; slot += 1) expect(log).toContain(`('100.64.${slot}.1', 3000000)`);

      // A driver that runs on another machine than the head: its log is found there.
      const away = await stack.submit(`python -c 'import ray; ray.init(); print(ray.util.get_node_ip_address())'`, {
        metadata: { 'io.cluster': 'wide' },
        entrypoint_resources: { c: 1 },
      });
      expect((await stack.ended(away)).status).toBe('SUCCEEDED');
      expect(await stack.log(away)).toContain('100.64.3.1');

      await until('each path is the best there is', 120_000, async () => {
        const found = await paths();
        expect(found).toEqual({
          head: { b: 'direct', c: 'udp-relay', d: 'tcp-relay' },
          b: { head: 'direct', c: 'udp-relay', d: 'tcp-relay' },
          c: { head: 'udp-relay', b: 'udp-relay', d: 'tcp-relay' },
          d: { head: 'tcp-relay', b: 'tcp-relay', c: 'tcp-relay' },
        });
        return true;
      });
    },
    600_000,
  );

  ifPossible(
    'keeps a Ray worker whose NAT gives it another mapping',
    async () => {
      const before = await leases();
      await startBeating('roaming');
      const at = Date.now();
      await sites.b?.changeMapping();
      await pause(15_000);
      tell('another mapping for b', 'roaming', at);
      await wentOn('roaming', at + 15_000);
      expect(await leases()).toEqual(before);
      await until('b is reached directly again', 60_000, async () => (await paths()).head?.b === 'direct');
    },
    400_000,
  );

  ifPossible(
    'keeps its workers when one is cut off for a while',
    async () => {
      const before = await leases();
      await startBeating('cut');
      const at = Date.now();
      await sites.c?.cut();
      await pause(8_000);
      await sites.c?.heal();
      const healed = Date.now();
      await wentOn('cut', healed);
      tell('c cut off for 8 s', 'cut', at);
      expect(await leases()).toEqual(before);
    },
    400_000,
  );

  ifPossible(
    'goes on while the control plane is gone, directly and through the UDP relay, and with it again afterwards',
    async () => {
      const before = await leases();
      await startBeating('alone', 'bc');
      const { pid } = await stack.part('control plane');
      const at = Date.now();
      // It neither serves nor ends, so that no successor comes yet.
      process.kill(pid, 'SIGSTOP');
      await pause(15_000);
      const lasted = beats('alone').filter(beat => beat.atMs > at + 10_000);
      expect(new Set(lasted.map(({ name }) => name))).toEqual(new Set(['b', 'c']));
      for (const name of ['b', 'c']) expect(longestPause('alone', name, at)).toBeLessThan(5_000);
      process.kill(pid, 'SIGKILL');
      await until('a new control plane', 60_000, async () => (await stack.part('control plane')).pid !== pid);
      await until('it serves', 60_000, async () => (await fetch(`${stack.address}/readyz`)).status === 200);
      await wentOn('alone', Date.now(), 'bc');
      tell('control plane gone for 15 s and then replaced', 'alone', at, 'bc');
      // Where UDP is blocked there was no way without it: that worker may have been replaced.
      const { d: _, ...others } = before;
      expect(await leases()).toMatchObject(others);
      await whole();
    },
    400_000,
  );

  ifPossible(
    'lets nobody in: not from its machines, nor from others',
    async () => {
      const probe = 'import socket; socket.create_connection(("100.64.1.1", 6379), timeout=2)';
      for (const site of [sites.head, sites.b, sites.relay]) {
        const [program, args] = (site as Site).command('python3', ['-c', probe]);
        expect((await run(program, args)).code).not.toBe(0);
      }
    },
    60_000,
  );

  ifPossible(
    'gets a worker whose machine has died replaced elsewhere, while its head and the others go on',
    async () => {
      await add('spare', 'cone', 4.5);
      const before = await leases();
      const at = Date.now();
      await machines.b?.killAll();
      await until('a worker comes up on the spare machine', (nodeLostSeconds + 60) * 1_000, async () => {
        const all: { group: string; phase: string; nodeId: string }[] = (await show()).leases;
        return all.some(lease => lease.group === 'b' && lease.phase === 'ready' && nameOf(lease.nodeId) === 'spare');
      }).catch(async error => {
        throw new Error(`${error.message}\n${JSON.stringify(await show())}\n${stack.logs()}`);
      });
      process.stdout.write(`a dead machine's worker is ready elsewhere after ${(Date.now() - at) / 1000} s\n`);
      const { b: _, ...others } = before;
      expect(await leases()).toMatchObject(others);
      const job = await stack.submit(
        `python -c 'import ray; ray.init(); print(ray.get(ray.remote(lambda: ray.util.get_node_ip_address()).options(resources={"b": 1}).remote()))'`,
        { metadata: { 'io.cluster': 'wide' } },
      );
      expect((await stack.ended(job)).status).toBe('SUCCEEDED');
      expect(await stack.log(job)).toContain('100.64.5.1');
    },
    400_000,
  );

  ifPossible(
    'leaves nothing on its machines when it is deleted',
    async () => {
      await stack.call('DELETE', `/v1/clusters/${clusterId}`);
      await until('it is deleted', 60_000, async () => (await show()).phase === 'deleted');
      for (const name of ['head', 'c', 'd', 'spare']) {
        const [program, args] = (sites[name] as Site).command('sh', ['-c', 'ls /run/wireguard; ls /run/iocloud-*/net']);
        await until(`nothing is left on ${name}`, 20_000, async () => {
          expect((await run(program, args)).stdout.trim()).toBe('');
          return true;
        });
      }
    },
    120_000,
  );
});
