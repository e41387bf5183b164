/** Networks between two agents of this machine, with real wireguard-go: directly, through each relay, and after a restart. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { type ClusterId, type MeshNetwork, type MeshPath, meshAddress, newId } from '@iocloud/contracts';
import { datagramFrame, Unframer } from '@iocloud/contracts/wire';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AgentConfig, agentConfig } from '../config.js';
import { createLogger } from '../log.js';
import { networkName, Sandbox } from '../sandbox/index.js';
import { rayEnvironment, rayVersion, until } from '../testing/world.js';
import { deviceName, socketDirectory } from './device.js';
import { Mesh } from './mesh.js';
import { RelayServer } from './relay-server.js';

const wireguardGo = process.env.IOCLOUD_WIREGUARD_GO;
const isPossible = process.getuid?.() === 0 && process.platform === 'linux' && wireguardGo !== undefined;
if (!isPossible) {
  process.stderr.write(
    'not root on Linux, or IOCLOUD_WIREGUARD_GO is unset: networks between machines are NOT tested\n',
  );
}
const asRoot = isPossible ? test : test.skip;
const timeoutMs = 180_000;
const log = createLogger(process.env.IOCLOUD_TEST_LOG ?? 'fatal');
const made: ClusterId[] = [];
const newCluster = () => {
  const id: ClusterId = newId('cluster', randomBytes);
  made.push(id);
  return id;
};

/** An agent's part in networks, without the agent. */
class Host {
  mesh!: Mesh;
  sandbox!: Sandbox;
  readonly token = randomBytes(16).toString('hex');

  private constructor(
    readonly slot: number,
    readonly config: AgentConfig,
  ) {}

  static async start(directory: string, slot: number): Promise<Host> {
    const stateDir = join(directory, `state-${slot}`);
    mkdirSync(stateDir);
    const config = agentConfig.parse({
      controlPlane: { host: '127.0.0.1', port: 1, hostKey: 'ssh-ed25519 AAAA' },
      nodeId: newId('node', randomBytes),
      deviceKeyFile: join(directory, 'key'),
      stateDir,
      rayEnvironments: { [rayVersion]: rayEnvironment() },
      wireguardGo,
    });
    const host = new Host(slot, config);
    await host.open();
    return host;
  }

  async open(): Promise<void> {
    this.sandbox = await Sandbox.choose(this.config, log);
    this.mesh = await Mesh.open(this.config, this.sandbox, () => undefined, log);
  }

  networkOf(clusterId: ClusterId) {
    return this.mesh.report().networks.find(network => network.clusterId === clusterId);
  }

  pathTo(clusterId: ClusterId, slot: number): MeshPath | undefined {
    return this.networkOf(clusterId)?.paths.find(path => path.slot === slot)?.path;
  }

  namespaceOf(clusterId: ClusterId): string {
    return join(this.sandbox.runtimeDir, 'net', networkName(this.config.stateDir, clusterId));
  }

  /** Runs Python in the cluster's network here. */
  python(clusterId: ClusterId, program: string): ChildProcess {
    const python = join(rayEnvironment(), 'bin', 'python');
    return spawn('nsenter', [`--net=${this.namespaceOf(clusterId)}`, python, '-c', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  async end(): Promise<void> {
    for (const clusterId of this.mesh.clusterIds()) {
      await this.mesh.close(clusterId);
      await this.sandbox.closeNetwork(clusterId);
    }
    await this.mesh.stop(false);
    await this.sandbox.removeRuntime();
  }
}

let directory: string;
let hosts: Host[];
const ends: (() => unknown)[] = [];
beforeEach(async () => {
  if (!isPossible) return;
  directory = mkdtempSync(join(tmpdir(), 'iocloud-mesh-'));
  hosts = [await Host.start(directory, 1), await Host.start(directory, 2)];
});
afterEach(async () => {
  if (!isPossible) return;
  for (const host of hosts) await host.end();
  for (const end of ends.splice(0)) end();
  const names = hosts.flatMap(({ config }) => made.map(id => deviceName(config.stateDir, id)));
  const left = [...readdirSync(socketDirectory), ...Object.keys(networkInterfaces())];
  expect(left.filter(name => names.some(own => name.startsWith(own)))).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
}, timeoutMs);

type Way = { endpoints: boolean; relay: string | null };

/** Tells both what the other has reported, as the control plane does. */
async function introduce(clusterId: ClusterId, { endpoints, relay }: Way): Promise<void> {
  const tell = async () => {
    for (const host of hosts) {
      const peers = hosts.flatMap(other => {
        const known = other === host ? undefined : other.networkOf(clusterId);
        if (!known) return [];
        const at = endpoints ? [`127.0.0.1:${known.listenPort}`] : [];
        return [{ slot: other.slot, publicKey: known.publicKey, endpoints: at }];
      });
      const helper = relay === null ? null : { relay, observer: null };
      const network: MeshNetwork = { clusterId, slot: host.slot, peers, helper, relayToken: host.token };
      await host.mesh.desire([network], null);
      await host.mesh.ready(clusterId);
    }
  };
  await tell();
  await until('both to have their keys', () => hosts.every(host => host.networkOf(clusterId)));
  await tell();
}

async function goes(clusterId: ClusterId, path: MeshPath): Promise<void> {
  const [one, other] = hosts as [Host, Host];
  await until(
    `both to reach each other, ${path}`,
    () => {
      return one.pathTo(clusterId, 2) === path && other.pathTo(clusterId, 1) === path;
    },
    // A better way is tried each 20 s at the latest, by each side in its own time.
    90_000,
  );
}

/** One TCP connection from the first to the second, over which something larger than a packet comes back. */
async function converses(clusterId: ClusterId): Promise<void> {
  const [one, other] = hosts as [Host, Host];
  const address = meshAddress(2, 7);
  const server = other.python(
    clusterId,
    `import socket
s = socket.create_server(("${address}", 7000))
print("listening", flush=True)
c, _ = s.accept()
c.sendall(b"x" * 500000)
c.close()`,
  );
  ends.push(() => server.kill('SIGKILL'));
  await once(server.stdout as NodeJS.ReadableStream, 'data');
  const client = one.python(
    clusterId,
    `import socket
c = socket.create_connection(("${address}", 7000), timeout=10)
n = 0
while d := c.recv(65536): n += len(d)
print(n, c.getsockname()[0])`,
  );
  let said = '';
  client.stdout?.on('data', chunk => {
    said += chunk;
  });
  await once(client, 'close');
  expect(said.trim()).toBe(`500000 ${meshAddress(1, 1)}`);
}

async function relayServer(clusterId: ClusterId): Promise<string> {
  const server = new RelayServer(log);
  const port = await server.listen(0);
  const publicKey = Buffer.alloc(32, 1).toString('base64');
  server.serve(hosts.map(({ slot, token }) => ({ clusterId, slot, token, publicKey })));
  ends.push(() => server.close());
  return `127.0.0.1:${port}`;
}

/** A stream between both, as the control plane's hub makes it of two. */
function joinStreams(clusterId: ClusterId): void {
  const ways = hosts.map(() => ({ up: new PassThrough(), down: new PassThrough() }));
  for (const [i, { up }] of ways.entries()) {
    const unframer = new Unframer((to, datagram) => ways[to - 1]?.down.write(datagramFrame(i + 1, datagram)));
    up.on('data', piece => unframer.push(piece));
    const { down } = ways[i] as (typeof ways)[number];
    const stream = Duplex.from({ readable: down, writable: up });
    void hosts[i]?.mesh.carry(clusterId, stream);
    ends.push(() => stream.destroy());
  }
}

describe('two machines of a cluster', () => {
  asRoot(
    'reach each other directly where they can, and no one else reaches them',
    async () => {
      const clusterId = newCluster();
      await introduce(clusterId, { endpoints: true, relay: null });
      await goes(clusterId, 'direct');
      await converses(clusterId);
      // From outside of the namespace there is no way in: whoever answers there, it is not the cluster.
      const [, other] = hosts as [Host, Host];
      const server = other.python(
        clusterId,
        `import socket
s = socket.create_server(("${meshAddress(2, 3)}", 7200))
print("listening", flush=True)
while True: s.accept()[0].sendall(b"inside")`,
      );
      ends.push(() => server.kill('SIGKILL'));
      await once(server.stdout as NodeJS.ReadableStream, 'data');
      const ask = `import socket; print(socket.create_connection(("${meshAddress(2, 3)}", 7200), timeout=2).recv(6))`;
      const python = join(rayEnvironment(), 'bin', 'python');
      expect(spawnSync(python, ['-c', ask], { timeout: 10_000 }).stdout.toString()).not.toContain('inside');
      const [one] = hosts as [Host];
      const [said] = await once(one.python(clusterId, ask).stdout as NodeJS.ReadableStream, 'data');
      expect(String(said)).toContain('inside');
    },
    timeoutMs,
  );

  asRoot(
    'go through a UDP relay where there is no direct way, and go directly once there is',
    async () => {
      const clusterId = newCluster();
      const relay = await relayServer(clusterId);
      await introduce(clusterId, { endpoints: false, relay });
      await goes(clusterId, 'udp-relay');
      await converses(clusterId);
      await introduce(clusterId, { endpoints: true, relay });
      await goes(clusterId, 'direct');
      await converses(clusterId);
    },
    timeoutMs,
  );

  asRoot(
    'go through streams where UDP reaches nobody',
    async () => {
      const clusterId = newCluster();
      await introduce(clusterId, { endpoints: false, relay: null });
      await until('both to ask for a stream', () => hosts.every(host => host.networkOf(clusterId)?.wantsStream));
      joinStreams(clusterId);
      await goes(clusterId, 'tcp-relay');
      await converses(clusterId);
    },
    timeoutMs,
  );

  asRoot(
    'keep their interfaces and keys while their agents are gone, and their paths when these are back',
    async () => {
      const clusterId = newCluster();
      const relay = await relayServer(clusterId);
      await introduce(clusterId, { endpoints: true, relay });
      await goes(clusterId, 'direct');
      const before = hosts.map(host => host.networkOf(clusterId)?.publicKey);
      for (const host of hosts) await host.mesh.stop(true);
      await converses(clusterId);
      for (const host of hosts) await host.open();
      await goes(clusterId, 'direct');
      expect(hosts.map(host => host.networkOf(clusterId)?.publicKey)).toEqual(before);
      await converses(clusterId);
    },
    timeoutMs,
  );

  asRoot(
    'find each other again when wireguard-go was killed on one',
    async () => {
      const clusterId = newCluster();
      await introduce(clusterId, { endpoints: true, relay: null });
      await goes(clusterId, 'direct');
      const [, other] = hosts as [Host, Host];
      const before = other.networkOf(clusterId)?.listenPort;
      for (const pid of processesOf(other)) process.kill(pid, 'SIGKILL');
      await until('a new interface', () => ![undefined, before].includes(other.networkOf(clusterId)?.listenPort));
      await introduce(clusterId, { endpoints: true, relay: null });
      await until('something new is heard', () => other.pathTo(clusterId, 1) === 'direct');
      await converses(clusterId);
    },
    timeoutMs,
  );

  asRoot(
    'keep nothing of it when it is over: no interface, no process, no key',
    async () => {
      const clusterId = newCluster();
      await introduce(clusterId, { endpoints: true, relay: null });
      await goes(clusterId, 'direct');
      const [one] = hosts as [Host];
      const key = join(one.config.stateDir, 'mesh', clusterId, 'key');
      expect(existsSync(key)).toBe(true);
      await one.mesh.desire([], null);
      expect(one.mesh.unwanted()).toEqual([clusterId]);
      await one.mesh.close(clusterId);
      await one.sandbox.closeNetwork(clusterId);
      expect(existsSync(key)).toBe(false);
      expect(one.mesh.report().networks).toEqual([]);
      await until('wireguard-go to be gone', () => processesOf(one).length === 0);
    },
    timeoutMs,
  );
});

describe('two clusters on the same machines', () => {
  asRoot(
    'have the same addresses, and neither hears of the other',
    async () => {
      const [first, second] = [newCluster(), newCluster()];
      for (const id of [first, second]) await introduce(id, { endpoints: true, relay: null });
      // What one was told of its network must not be what the other is told: both are wanted.
      const [one, other] = hosts as [Host, Host];
      expect(one.namespaceOf(first)).not.toBe(one.namespaceOf(second));
      await goes(second, 'direct');
      const server = other.python(
        second,
        `import socket
s = socket.create_server(("${meshAddress(2, 9)}", 7100))
print("listening", flush=True)
s.accept()`,
      );
      ends.push(() => server.kill('SIGKILL'));
      await once(server.stdout as NodeJS.ReadableStream, 'data');
      const reach = `import socket; socket.create_connection(("${meshAddress(2, 9)}", 7100), timeout=2)`;
      const [fromFirst] = await once(one.python(first, reach), 'exit');
      expect(fromFirst).not.toBe(0);
      const [fromSecond] = await once(one.python(second, reach), 'exit');
      expect(fromSecond).toBe(0);
    },
    timeoutMs,
  );
});

/** Pids of wireguard-go that an agent's part in networks has started. */
function processesOf({ config }: Host): number[] {
  const marker = `IOCLOUD_MESH_LOG=${join(config.stateDir, 'mesh', 'wireguard.log')}`;
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(marker);
      } catch {
        return false;
      }
    })
    .map(Number);
}
