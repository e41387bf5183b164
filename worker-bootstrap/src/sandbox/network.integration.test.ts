/** What a lease's network reaches: a machine, its neighbours and the internet, each a network namespace of this test's. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { rayEnvironment, until } from '../testing/world.js';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
if (!isRoot) process.stderr.write('not root on Linux: the rules of networks are NOT tested in this run\n');
const where = isRoot ? describe : describe.skip;

const tag = randomBytes(3).toString('hex');
const [machine, outside] = [`iocm${tag}`, `ioco${tag}`];
const cluster = `ioc${tag}`;
const python = () => join(rayEnvironment(), 'bin', 'python');
const script = resolve('worker-bootstrap/python/network.py');
const port = 8099;

const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' });
const ip = (...args: string[]) => run('ip', ...args);
const within = (namespace: string, ...args: string[]) => ['nsenter', `--net=/run/netns/${namespace}`, ...args] as const;

/** Beyond the machine's link: its neighbours there, and behind a router the internet. All answer on one port. */
const beyond = {
  neighbour: '203.0.113.2',
  router: '203.0.113.1',
  lan: ['10.20.30.40', '172.16.5.5', '192.168.7.7', '100.64.9.9'],
  metadata: '169.254.169.254',
  internet: '198.51.100.8',
};
const listen = `
import socket
s = socket.create_server(("0.0.0.0", ${port}), backlog=64)
print("listening", flush=True)
while True: s.accept()[0].close()
`;
const dial = (address: string) => `
import socket
try: socket.create_connection(("${address}", ${port}), 1).close(); print("reached")
except OSError as error: print("not:", error)
`;

where('the network of a lease', () => {
  const directory = mkdtempSync(join(tmpdir(), 'iocloud-network-'));
  const listeners: ChildProcess[] = [];
  /** Keeps the machine's mounts: a /run of its own, where agents note what they have changed of the machine. */
  let keeper: ChildProcess;
  const asMachine = (...args: string[]) => run('nsenter', `--target=${keeper.pid}`, '--net', '--mount', ...args);
  const reaches = (address: string) =>
    asMachine('nsenter', `--net=${join(directory, cluster)}`, python(), '-c', dial(address)).trim();
  const network = (...args: string[]) => asMachine(python(), '-E', '-s', '-B', script, ...args);
  const serve = async (namespace: string) => {
    const [program, ...args] = within(namespace, python(), '-c', listen);
    const listener = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    listeners.push(listener);
    await once(listener.stdout as NodeJS.ReadableStream, 'data');
  };

  beforeAll(async () => {
    for (const name of [machine, outside]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    const keep = 'mount -t tmpfs tmpfs /run && echo ready && exec cat';
    const [program, ...args] = within(machine, 'unshare', '--mount', 'sh', '-c', keep);
    keeper = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(keeper.stdout as NodeJS.ReadableStream, 'data');
    ip('-n', machine, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'down0', 'netns', outside);
    ip('-n', machine, 'address', 'add', '203.0.113.9/24', 'dev', 'up0');
    ip('-n', machine, 'link', 'set', 'up0', 'up');
    ip('-n', machine, 'route', 'add', 'default', 'via', beyond.router);
    ip('-n', outside, 'link', 'set', 'down0', 'up');
    for (const address of [`${beyond.router}/24`, `${beyond.neighbour}/24`]) {
      ip('-n', outside, 'address', 'add', address, 'dev', 'down0');
    }
    for (const address of [...beyond.lan, beyond.metadata, beyond.internet]) {
      ip('-n', outside, 'address', 'add', `${address}/32`, 'dev', 'lo');
    }
    await serve(machine);
    await serve(outside);
  });
  afterAll(async () => {
    network('down', cluster, directory);
    for (const listener of [...listeners, keeper]) {
      const gone = once(listener, 'exit');
      listener.kill('SIGKILL');
      await gone;
    }
    for (const name of [machine, outside]) ip('netns', 'delete', name);
    await until('nothing to be left', () => !ip('netns', 'list').includes(tag));
    rmSync(directory, { recursive: true, force: true });
  });

  test('reaches the internet, but no private network, no neighbour, no metadata and not the machine', () => {
    // The machine itself reaches all of them, so it is the rules that keep the lease from it.
    for (const address of [...beyond.lan, beyond.metadata, beyond.neighbour]) {
      expect(asMachine(python(), '-c', dial(address)).trim()).toBe('reached');
    }
    expect(JSON.parse(network('up', cluster, directory))).toEqual({ outbound: true, reason: '' });
    expect(reaches(beyond.internet)).toBe('reached');
    for (const address of [...beyond.lan, beyond.metadata, beyond.neighbour, beyond.router, '203.0.113.9']) {
      expect([address, reaches(address)]).toEqual([address, expect.stringMatching(/^not:/)]);
    }
    network('down', cluster, directory);
  }, 60_000);

  test('reaches what its machine’s owner allows, and no more', () => {
    network('up', cluster, directory, '10.20.0.0/16');
    expect(reaches('10.20.30.40')).toBe('reached');
    expect(reaches('192.168.7.7')).toMatch(/^not:/);
    network('down', cluster, directory);
    network('up', cluster, directory, '0.0.0.0/0');
    for (const address of [...beyond.lan, '203.0.113.9']) expect(reaches(address)).toBe('reached');
    network('down', cluster, directory);
  }, 60_000);
});
