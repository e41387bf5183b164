/**
 * Throughput of one TCP connection between two machines of a cluster, beside the same between two WireGuard interfaces that were
 * made by hand on the same machines, and beside no WireGuard at all; in turns, all over the same link.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Internet, networkObstacle, run, type Site, Stack, until } from '../src/harness/index.js';
import { median, rayVenv, report } from './measure.js';

const rounds = 15;
const seconds = 2;
const port = 7300;
const python = join(rayVenv(), 'bin', 'python');
const wireguardGo = process.env.IOCLOUD_WIREGUARD_GO ?? '';

const server = (address: string) => `
import socket
s = socket.create_server(("${address}", ${port}))
print("listening", flush=True)
while True:
    c, _ = s.accept()
    buffer = bytearray(1 << 20)
    while c.recv_into(buffer): pass
    c.close()`;
const client = (address: string) => `
import socket, time
c = socket.create_connection(("${address}", ${port}), timeout=10)
data = bytes(1 << 18)
def send(seconds):
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end: n += c.send(data)
    return n
send(0.5)
began = time.monotonic()
n = send(${seconds})
print(n / (time.monotonic() - began))`;

/** A pair of places between which bytes are sent: how a command runs at each, and the address of the second. */
interface Way {
  from: (program: string, args: string[]) => [string, string[]];
  to: (program: string, args: string[]) => [string, string[]];
  address: string;
}

const children: ChildProcess[] = [];

async function listen({ to, address }: Way): Promise<void> {
  const [program, args] = to(python, ['-c', server(address)]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
}

/** Bytes a second. */
async function measure({ from, address }: Way): Promise<number> {
  const { code, stdout, stderr } = await run(...from(python, ['-c', client(address)]));
  if (code !== 0) throw new Error(stderr);
  return Number(stdout);
}

/** The bare peer: the same program and the same kind of link, configured by hand, no namespaces of clusters and no agent. */
async function bareWireguard(one: Site, other: Site): Promise<Way> {
  const keys = [one, other].map(() => {
    const { privateKey, publicKey } = generateKeyPairSync('x25519');
    const last = (der: Buffer) => der.subarray(-32).toString('hex');
    return {
      private: last(privateKey.export({ format: 'der', type: 'pkcs8' })),
      public: last(publicKey.export({ format: 'der', type: 'spki' })),
    };
  });
  for (const [i, site] of [one, other].entries()) {
    const peer = i === 0 ? other : one;
    const [program, args] = site.command(wireguardGo, ['-f', 'bare']);
    const env = { LOG_LEVEL: 'error', WG_PROCESS_FOREGROUND: '1' };
    children.push(spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...env } }));
    const setting = [
      `set=1\nprivate_key=${keys[i]?.private}\nlisten_port=51820\npublic_key=${keys[1 - i]?.public}`,
      `endpoint=${peer.outsideAddress}:51820\nallowed_ip=10.250.0.${2 - i}/32\n\n`,
    ].join('\n');
    const tell = `import socket
s = socket.socket(socket.AF_UNIX); s.connect("/run/wireguard/bare.sock"); s.send(${JSON.stringify(setting)}.encode())
print(s.recv(99))`;
    await until('wireguard-go answers', 10_000, async () => {
      const { stdout } = await run(...site.command(python, ['-c', tell]));
      return stdout.includes('errno=0');
    });
    for (const line of [`address add 10.250.0.${i + 1}/24 dev bare`, 'link set bare mtu 1420 up']) {
      await run('ip', ['-n', site.name, ...line.split(' ')]);
    }
  }
  const command = (site: Site) => (program: string, args: string[]) => site.command(program, args);
  return { from: command(one), to: command(other), address: '10.250.0.2' };
}

/** Inside of the cluster's own network, where its Ray nodes are. */
async function inCluster(site: Site): Promise<Way['from']> {
  const { stdout } = await run(...site.command('sh', ['-c', 'ls /run/iocloud-*/net/ioc* | grep -v json']));
  const file = stdout.trim();
  return (program, args) => site.command('nsenter', [`--net=${file}`, program, ...args]);
}

const obstacle = networkObstacle() ?? (wireguardGo === '' ? 'IOCLOUD_WIREGUARD_GO is unset: use `make bench`' : null);
if (obstacle !== null) {
  process.stdout.write(`${JSON.stringify({ bench: 'mesh', notRun: obstacle })}\n`);
  process.exit(0);
}
const home = mkdtempSync(join(tmpdir(), 'iocloud-bench-'));
const internet = await Internet.up(home);
const stack = await Stack.start({ home, env: { IOCLOUD_NODE_CPUS: '1', IOCLOUD_SSH_HOST: '0.0.0.0' } });
try {
  const sites = [await internet.site('public'), await internet.site('public')] as [Site, Site];
  for (const [i, site] of sites.entries()) await stack.machine(`m${i}`, { cpus: 2, network: site });
  const { id } = await stack.cluster('wide', { head: { cpus: 2 }, workerGroups: [{ name: 'w', cpus: 2, count: 1 }] });
  const show = async () => (await stack.call('GET', `/v1/clusters/${id}`)).body;
  await until('it is whole and direct', 60_000, async () => {
    const { leases, network } = await show();
    const paths = network.members.flatMap(({ paths: all }: { paths: { path: string }[] }) =>
      all.map(({ path }) => path),
    );
    return (
      leases.every(({ phase }: { phase: string }) => phase === 'ready') &&
      paths.every((path: string) => path === 'direct')
    );
  });
  const { leases, network } = await show();
  const addressesOf = (machine: number) =>
    network.members.find(({ nodeId }: { nodeId: string }) => nodeId === stack.machines[machine]?.id)
      .addresses as string;
  if (leases.length !== 2) throw new Error('the cluster does not stand on two machines');
  const ways: Record<string, Way> = {
    mesh: {
      from: await inCluster(sites[0]),
      to: await inCluster(sites[1]),
      address: addressesOf(1).replace('0/24', '9'),
    },
    bareWireguard: await bareWireguard(...sites),
    noWireguard: {
      from: (program, args) => sites[0].command(program, args),
      to: (program, args) => sites[1].command(program, args),
      address: sites[1].outsideAddress,
    },
  };
  const rates: Record<string, number[]> = {};
  for (const way of Object.values(ways)) await listen(way);
  for (let round = 0; round < rounds; round += 1) {
    // Each goes first in turn: what else the machine does weighs on both alike.
    const order = Object.entries(ways);
    for (const [name, way] of round % 2 === 0 ? order : order.reverse()) {
      rates[name] = [...(rates[name] ?? []), await measure(way)];
      await pause(200);
    }
  }
  const MBps = Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, median(all) / 1e6]));
  report('mesh', {
    peer: 'wireguard-go between the same machines, by hand',
    rounds,
    seconds,
    ...MBps,
    ratio: (MBps.mesh ?? Number.NaN) / (MBps.bareWireguard ?? Number.NaN),
    ratioWithinRounds: median((rates.mesh ?? []).map((rate, i) => rate / (rates.bareWireguard?.[i] ?? Number.NaN))),
    load: loadavg()[0],
    aim: '>= 0.95',
    all: Object.fromEntries(Object.entries(rates).map(([name, all]) => [name, all.map(rate => rate / 1e6)])),
  });
} finally {
  for (const child of children) child.kill('SIGKILL');
  await stack.stop();
  await internet.remove();
}
