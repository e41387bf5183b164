/** The gateway with a real OpenSSH client and a real PostgreSQL; its machine is the agent's own program, outside a lease. */
import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import type { ClusterId, SshSession, StreamRequest } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { accountRoutes, authenticator, mayNow } from '../accounts/index.js';
import { entrances } from '../clusters/index.js';
import { type SimulatedAgent, Trial } from '../clusters/testing/index.js';
import { StreamRefused } from '../inventory/index.js';
import { SshServer } from '../inventory/ssh-server.js';
import { Http, Signer } from '../platform/index.js';
import { newTenantKey, type TestKey } from '../test-ground.js';
import { createTunnels, type Tunnels } from './index.js';
import { forgetOld } from './session-store.js';

jest.setTimeout(60_000);

const shellProgram = resolve('worker-bootstrap/python/shell.py');

let trial: Trial;
let tunnels: Tunnels;
let server: SshServer;
let http: Http;
let base: string;
let port: number;
let directory: string;
const hostKey = newSshKeyPair();
const signer = new Signer('a secret of this test');
const children: ChildProcess[] = [];
const listeners = new Map<string, Set<() => void>>();
/** Streams that are open to the machine, by what they are for. */
const streams: { request: StreamRequest; stream: Duplex }[] = [];

const signals = {
  on: (signal: string, listener: () => void) => {
    const all = listeners.get(signal) ?? new Set();
    listeners.set(signal, all.add(listener));
    return () => void all.delete(listener);
  },
  send: (signal: string) => {
    for (const listener of listeners.get(signal) ?? []) listener();
  },
};

/** A program's input and output. No Duplex.from, which would take the output down with the input of one that has ended. */
function asStream({ stdin, stdout }: ChildProcessByStdio<Writable, Readable, null>): Duplex {
  const stream = new Duplex({
    read: () => void stdout.resume(),
    write: (chunk, encoding, done) => void stdin.write(chunk, encoding, () => done()),
    final: done => {
      stdin.end();
      done();
    },
    destroy: (error, done) => {
      stdin.destroy();
      stdout.destroy();
      done(error);
    },
  });
  stdin.on('error', () => undefined);
  stdout.on('data', chunk => {
    if (!stream.push(chunk)) stdout.pause();
  });
  stdout.on('end', () => stream.push(null));
  return stream;
}

/** What an agent does with a stream, less the namespaces. */
async function openStream(_nodeId: unknown, request: StreamRequest): Promise<Duplex> {
  let stream: Duplex;
  if (request.kind === 'shell') {
    const child = spawn('python3', ['-E', '-s', '-S', '-B', shellProgram], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    child.stdin.on('error', () => undefined);
    const { what, pty, env } = request;
    const all = { PATH: process.env.PATH, HOME: directory, ...env };
    child.stdin.write(`${JSON.stringify({ lease: null, what, pty, env: all })}\n`);
    stream = asStream(child);
  } else if (request.kind === 'connect' && request.host === 'localhost') {
    const socket = connect({ host: '127.0.0.1', port: request.port, allowHalfOpen: true });
    await once(socket, 'connect').catch(() => {
      throw new StreamRefused('not-ready', `localhost:${request.port} does not answer`);
    });
    stream = socket;
  } else throw new StreamRefused('bad-request', 'that is not inside the cluster');
  stream.on('error', () => undefined);
  streams.push({ request, stream });
  return stream;
}

beforeAll(async () => {
  trial = await Trial.start();
  const { database, ground } = trial;
  tunnels = createTunnels({
    config: { publicUrl: undefined, auditDays: 400 },
    database,
    signals,
    entrances,
    mayNow,
    openStream,
    log: ground.log,
    random: randomBytes,
    signer,
    ssh: { hostKey: Buffer.from(hostKey.private), port: () => port },
  });
  server = new SshServer({
    host: '127.0.0.1',
    port: 0,
    hostKey: Buffer.from(hostKey.private),
    log: ground.log,
    enrolledKey: async () => null,
    onRefused: () => undefined,
    onAgent: () => undefined,
    renters: tunnels.gateway as never,
  });
  port = await server.listen();
  tunnels.start();
  http = new Http(authenticator(database, signer), ground.log);
  accountRoutes(http, database, randomBytes);
  tunnels.routes(http);
  await new Promise<void>(listening => http.server.listen(0, '127.0.0.1', listening));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await tunnels?.stop();
  await server?.close();
  await trial?.stop();
});

let owner: TestKey;
let agent: SimulatedAgent;
let clusterId: ClusterId;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'iocloud-gateway-'));
  writeFileSync(join(directory, 'known_hosts'), `[127.0.0.1]:${port} ${hostKey.public}\n`);
  owner = await trial.tenant();
  agent = await trial.machine(owner.tenantId);
  clusterId = await trial.create(owner.tenantId, { name: 'team', workerGroups: [{ name: 'w', count: 1, cpus: 1 }] });
  await until('the cluster', async () => {
    await agent.obey();
    return (await trial.show(clusterId)).phase === 'ready';
  });
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  streams.length = 0;
  // What is left would be placed and swept for ever, and a machine that a test offers to others take their clusters.
  await trial.database.query('UPDATE nodes SET shared = false WHERE id = $1', [agent.nodeId]);
  await trial.wish(clusterId, { desired: 'deleted' });
  await agent.obey();
  rmSync(directory, { recursive: true, force: true });
});

async function call(key: TestKey, method: string, path: string, body?: unknown) {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${key.apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  return { status: response.status, body: (await response.json()) as any };
}

/** A key of ssh-keygen's, registered for the user; returns its id and its file. */
async function register(key: TestKey, type = 'ed25519', name = 'key'): Promise<{ id: string; file: string }> {
  const file = join(directory, `${name}-${randomBytes(4).toString('hex')}`);
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', name, '-f', file]);
  const { status, body } = await call(key, 'POST', '/v1/ssh-keys', await registration(key, file));
  expect(status).toBe(201);
  return { id: body.id, file };
}

/** What registers the key of this file for the user: its public half, and its signature of a challenge for them. */
async function registration(key: TestKey, file: string) {
  const { challenge } = (await call(key, 'POST', '/v1/ssh-key-challenges')).body;
  return {
    publicKey: readFileSync(`${file}.pub`, 'utf8'),
    proof: { challenge, signature: signatureOf(file, challenge) },
  };
}

const signatureOf = (file: string, text: string, namespace = 'iocloud') =>
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', file], { input: text, encoding: 'utf8' });

function keyFile(comment: string): string {
  const file = join(directory, `${comment}-${randomBytes(4).toString('hex')}`);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file]);
  return file;
}

const sshOptions = (file: string) => [
  ...['-F', '/dev/null', '-i', file, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'IdentityAgent=none'],
  ...['-o', `UserKnownHostsFile=${join(directory, 'known_hosts')}`, '-o', 'StrictHostKeyChecking=yes'],
];

function start(program: string, args: string[], input?: string | Buffer) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  child.stdin.on('error', () => undefined);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('latin1');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  if (input !== undefined) child.stdin.end(input);
  const ended = once(child, 'close').then(([code]) => ({ code: code as number, stdout, stderr }));
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

const ssh = (file: string, name: string, command: string[], more: string[] = [], input?: string) =>
  start('ssh', [...sshOptions(file), '-p', String(port), ...more, `${name}@127.0.0.1`, ...command], input);

async function until(what: string, look: () => unknown): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await look()); ) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise(wake => setTimeout(wake, 25));
  }
}

const sessions = async (query = ''): Promise<SshSession[]> =>
  (await call(owner, 'GET', `/v1/ssh-sessions${query}`)).body.items;

async function echoServer(): Promise<{ port: number; server: Server }> {
  const echo = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  return { port: (echo.address() as AddressInfo).port, server: echo };
}

describe('an OpenSSH client', () => {
  test.each(['ed25519', 'ecdsa', 'rsa'])('runs a command by a key of type %s, and gets its exit code', async type => {
    const { file } = await register(owner, type);
    const { code, stdout, stderr } = await ssh(file, 'team', ['cat; echo wrong >&2; exit 7'], [], 'in').ended;
    expect({ code, stdout, stderr }).toEqual({ code: 7, stdout: 'in', stderr: 'wrong\n' });
  });

  test('has its input carried to the end, and its variables LANG and LC_ set, no others', async () => {
    const { file } = await register(owner);
    const run = start(
      'env',
      ['LC_TIME=C.UTF-8', 'OTHER=1', 'ssh', ...sshOptions(file), '-o', 'SendEnv=LC_* OTHER', '-p', String(port)].concat(
        ['team@127.0.0.1', 'cat; env'],
      ),
      'typed\n',
    );
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^typed\n/);
    expect(stdout).toContain('LC_TIME=C.UTF-8\n');
    expect(stdout).toMatch(/SSH_CONNECTION=127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+\n/);
    expect(stdout).not.toContain('OTHER');
  });

  test('gets a terminal where it asks for one', async () => {
    const { file } = await register(owner);
    const { stdout } = await ssh(file, 'team', ['tty; echo $TERM'], ['-tt']).ended;
    expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n/);
  });

  test('copies files by scp and sftp', async () => {
    const { file } = await register(owner);
    const bytes = randomBytes(5_000_000);
    writeFileSync(join(directory, 'sent'), bytes);
    const scp = (...args: string[]) => start('scp', [...sshOptions(file), '-P', String(port), ...args]).ended;
    expect(await scp(join(directory, 'sent'), 'team@127.0.0.1:there')).toMatchObject({ code: 0 });
    expect(await scp('team@127.0.0.1:there', join(directory, 'back'))).toMatchObject({ code: 0 });
    expect(Buffer.compare(readFileSync(join(directory, 'back')), bytes)).toBe(0);
    await until('both to be on record', async () => (await sessions()).filter(one => one.endedAt).length === 2);
    expect((await sessions()).map(({ kind }) => kind)).toEqual(['sftp', 'sftp']);
    expect(Math.max(...(await sessions()).map(one => one.bytesIn))).toBeGreaterThan(5_000_000);
  });

  test('reaches the head by the cluster, and others by name, lease, machine; and is told of what is not there', async () => {
    const { file } = await register(owner);
    const { leases } = await trial.show(clusterId);
    const head = leases.find(lease => lease.role === 'head')?.id;
    const worker = leases.find(lease => lease.role === 'worker')?.id;
    for (const [name, lease] of [
      ['team', head],
      [clusterId, head],
      ['team+w-0', worker],
      [`team+${worker}`, worker],
      [worker, worker],
      [agent.nodeId, head],
    ]) {
      streams.length = 0;
      expect(await ssh(file, name ?? '', ['true']).ended).toMatchObject({ code: 0, stderr: '' });
      expect([name, streams.map(({ request }) => (request as { leaseId?: string }).leaseId)]).toEqual([name, [lease]]);
    }
    for (const [name, words] of [
      ['nothing', 'you have no cluster, Ray node or machine called "nothing"'],
      ['team+w-7', 'team has no Ray node w-7'],
    ]) {
      const { code, stderr } = await ssh(file, name ?? '', ['true']).ended;
      expect([code, stderr]).toEqual([255, expect.stringContaining(`iocloud: ${words}`)]);
    }
  });

  test('cannot forward ports to itself, nor its agent', async () => {
    const { file } = await register(owner);
    const run = ssh(file, 'team', ['echo "agent: $SSH_AUTH_SOCK"'], ['-A', '-R', '0:127.0.0.1:22']);
    const { code, stdout, stderr } = await run.ended;
    expect([code, stdout]).toEqual([0, 'agent: \n']);
    expect(stderr).toContain('remote port forwarding failed');
  });

  test('has many channels on one connection, and one whose reader has stopped holds up no other', async () => {
    const { file } = await register(owner);
    const control = join(directory, 'control');
    const master = ssh(file, 'team', [], ['-N', '-M', '-S', control]);
    await until('the connection', () =>
      start('ssh', ['-S', control, '-O', 'check', 'x']).ended.then(r => r.code === 0),
    );
    const onIt = (command: string) => start('ssh', ['-S', control, 'x', command]);
    const stalled = onIt('yes stalled');
    await until('output', () => stalled.stdout().length > 0);
    stalled.child.stdout.pause();
    stalled.child.kill('SIGSTOP');
    const results = await Promise.all(
      Array.from({ length: 9 }, (_, n) => onIt(`head -c 3000000 /dev/zero; exit ${n}`).ended),
    );
    expect(results.map(({ code, stdout }) => [code, stdout.length])).toEqual(
      Array.from({ length: 9 }, (_, n) => [n, 3_000_000]),
    );
    stalled.child.kill('SIGKILL');
    master.child.kill();
    await master.ended;
  });
});

describe('a forwarded port', () => {
  async function forwarded(file: string, target: string) {
    const free = await echoServer();
    free.server.close();
    const run = ssh(
      file,
      'team',
      [],
      ['-N', '-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${free.port}:${target}`],
    );
    const dial = async () => {
      const socket = connect({ host: '127.0.0.1', port: free.port });
      const connected = await new Promise<boolean>(done => {
        socket.on('connect', () => done(true));
        socket.on('error', () => done(false));
      });
      return connected ? socket : null;
    };
    let socket = await dial();
    while (!socket && run.child.exitCode === null) {
      await new Promise(wake => setTimeout(wake, 25));
      socket = await dial();
    }
    if (!socket) throw new Error(`no forward: ${run.stderr()}`);
    return { run, socket, dial };
  }

  test('leads to a port inside, both ways and to the end, and is on record with its bytes', async () => {
    const { file } = await register(owner);
    const echo = await echoServer();
    const { run, socket } = await forwarded(file, `localhost:${echo.port}`);
    const bytes = randomBytes(4_000_000);
    const parts: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => parts.push(chunk));
    socket.end(bytes);
    await once(socket, 'close');
    expect(Buffer.compare(Buffer.concat(parts), bytes)).toBe(0);
    await until('the record', async () => (await sessions()).some(one => one.endedAt !== null));
    expect(await sessions()).toEqual([
      expect.objectContaining({
        kind: 'forward',
        via: 'ssh',
        target: `localhost:${echo.port}`,
        address: '127.0.0.1',
        userId: owner.userId,
        clusterId,
        bytesIn: 4_000_000,
        bytesOut: 4_000_000,
        endReason: 'closed',
      }),
    ]);
    echo.server.close();
    run.child.kill();
  });

  test('to anywhere else is refused, and that is on record', async () => {
    const { file } = await register(owner);
    const { run, socket } = await forwarded(file, '169.254.169.254:80');
    await once(socket, 'close');
    await until('the record', async () => (await sessions()).length > 0);
    expect((await sessions())[0]).toMatchObject({
      target: '169.254.169.254:80',
      endReason: expect.stringContaining('refused: '),
    });
    expect(run.stderr()).toContain('open failed');
    run.child.kill();
  });
});

describe('access ends', () => {
  /** A shell that is open, with something running in it. */
  async function open(file: string) {
    const run = ssh(file, 'team', ['echo up; sleep 600'], ['-tt']);
    await until('the shell', () => run.stdout().includes('up'));
    return run;
  }

  test('at once when the key is removed, with a word why, and the key opens nothing any more', async () => {
    const { file, id } = await register(owner);
    const run = await open(file);
    const began = Date.now();
    expect((await call(owner, 'DELETE', `/v1/ssh-keys/${id}`)).status).toBe(200);
    const { code, stderr } = await run.ended;
    expect(Date.now() - began).toBeLessThan(900);
    expect([code, stderr]).toEqual([255, expect.stringContaining('iocloud: the SSH key was removed')]);
    expect((await ssh(file, 'team', ['true']).ended).stderr).toContain('Permission denied (publickey)');
    expect((await sessions())[0]).toMatchObject({ endReason: 'the SSH key was removed' });
  });

  test('when the cluster is stopped', async () => {
    const { file } = await register(owner);
    const run = await open(file);
    await trial.wish(clusterId, { desired: 'stopped' });
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([255, expect.stringContaining('iocloud: the lease has ended')]);
    expect((await ssh(file, 'team', ['true']).ended).stderr).toMatch(/iocloud: team is (ending|stopp)/);
  });

  test('when the user may no longer connect', async () => {
    const { file } = await register(owner);
    const run = await open(file);
    await trial.database.query(`UPDATE users SET role = 'viewer' WHERE id = $1`, [owner.userId]);
    expect((await run.ended).stderr).toContain('lacks the permission clusters:connect');
    expect((await ssh(file, 'team', ['true']).ended).stderr).toContain('lacks the permission clusters:connect');
  });

  test('when the user is removed, whose keys go too', async () => {
    const colleague = (await call(owner, 'POST', '/v1/users', { name: 'colleague', role: 'member' })).body;
    const { body } = await call(owner, 'POST', '/v1/api-keys', { name: 'k', userId: colleague.id });
    const key: TestKey = { ...owner, userId: colleague.id, keyId: body.id, apiKey: body.secret };
    const { file } = await register(key);
    const run = await open(file);
    await trial.database.query('DELETE FROM api_keys WHERE user_id = $1', [colleague.id]);
    await trial.database.query('DELETE FROM users WHERE id = $1', [colleague.id]);
    expect((await run.ended).code).toBe(255);
    expect((await ssh(file, 'team', ['true']).ended).stderr).toContain('Permission denied');
  });

  test('with the connection to the machine, which is said, and a new one can be opened', async () => {
    const { file } = await register(owner);
    const run = await open(file);
    for (const { stream } of streams) stream.destroy();
    expect((await run.ended).stderr).toContain(
      'the connection to the machine broke off; what runs on the cluster goes on',
    );
    expect((await ssh(file, 'team', ['echo again']).ended).stdout).toBe('again\n');
  });
});

describe('who is not let in', () => {
  test('another tenant, though it knows every name', async () => {
    const other = await newTenantKey(trial.database);
    const { file } = await register(other);
    const { leases } = await trial.show(clusterId);
    for (const name of ['team', clusterId, leases[0]?.id ?? '', agent.nodeId, `team+${leases[0]?.id}`]) {
      const { code, stderr, stdout } = await ssh(file, name, ['echo in']).ended;
      expect([code, stdout, stderr]).toEqual([255, '', expect.stringContaining('iocloud: you have no cluster')]);
    }
    expect(streams).toEqual([]);
    expect((await call(other, 'GET', '/v1/ssh-sessions')).body.items).toHaveLength(5);
    expect(await sessions()).toEqual([]);
  });

  test('the supplier of a machine, into another tenant’s lease there', async () => {
    const supplier = await newTenantKey(trial.database);
    await trial.database.query('UPDATE nodes SET tenant_id = $1, shared = true WHERE id = $2', [
      supplier.tenantId,
      agent.nodeId,
    ]);
    const { file } = await register(supplier);
    const { code, stderr } = await ssh(file, agent.nodeId, ['echo in']).ended;
    expect([code, stderr]).toEqual([255, expect.stringContaining('carries no cluster of yours')]);
    expect(streams).toEqual([]);
  });

  test('somebody whose role may only look', async () => {
    const viewer = await newTenantKey(trial.database, { role: 'viewer' });
    const { status } = await call(viewer, 'POST', '/v1/ssh-keys', { publicKey: newSshKeyPair().public });
    expect(status).toBe(403);
  });

  test('an API key without the permission cannot register a key that would have it', async () => {
    const narrow = await newTenantKey(trial.database, { scopes: ['jobs:write', 'clusters:write'] });
    const { status } = await call(narrow, 'POST', '/v1/ssh-keys', { publicKey: newSshKeyPair().public });
    expect(status).toBe(403);
  });
});

describe('SSH keys over HTTP', () => {
  test('one key is one user’s: a second registration is refused, and says whose it is only to its owner', async () => {
    const file = keyFile('laptop');
    const { body: key } = await call(owner, 'POST', '/v1/ssh-keys', await registration(owner, file));
    expect(key).toMatchObject({ name: 'laptop', type: 'ssh-ed25519', fingerprint: expect.stringMatching(/^SHA256:/) });
    const again = await call(owner, 'POST', '/v1/ssh-keys', { ...(await registration(owner, file)), name: 'other' });
    expect([again.status, again.body.detail]).toEqual([409, expect.stringContaining('as laptop')]);
    const other = await newTenantKey(trial.database);
    const theirs = await call(other, 'POST', '/v1/ssh-keys', await registration(other, file));
    expect([theirs.status, theirs.body.detail]).toEqual([409, expect.stringContaining('by another user')]);
    expect(theirs.body.detail).not.toMatch(/laptop|us_|tn_/);
    expect((await call(other, 'DELETE', `/v1/ssh-keys/${key.id}`)).status).toBe(404);
    expect((await call(owner, 'GET', '/v1/ssh-keys')).body.items).toEqual([key]);
    expect((await call(other, 'GET', '/v1/ssh-keys')).body.items).toEqual([]);
  });

  test('somebody else’s public key cannot be registered, by no proof of another', async () => {
    const theirs = keyFile('theirs');
    const mine = keyFile('mine');
    const other = await newTenantKey(trial.database);
    const { publicKey, proof } = await registration(owner, theirs);
    const { challenge } = (await call(other, 'POST', '/v1/ssh-key-challenges')).body;
    const tries: [unknown, string][] = [
      [undefined, 'has to prove that it is yours'],
      [{ challenge, signature: 'x' }, 'expected what `ssh-keygen'],
      [{ challenge, signature: signatureOf(mine, challenge) }, 'another key has signed'],
      [{ challenge, signature: signatureOf(theirs, challenge, 'git') }, 'sign with -n iocloud'],
      [{ challenge, signature: signatureOf(theirs, 'something else') }, 'not one of this challenge'],
      [proof, 'was not given to you'],
      [{ challenge: `${challenge}x`, signature: signatureOf(theirs, `${challenge}x`) }, 'was not given to you'],
    ];
    for (const [given, words] of tries) {
      const { status, body } = await call(other, 'POST', '/v1/ssh-keys', { publicKey, proof: given });
      expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(words)]);
    }
    expect((await call(other, 'GET', '/v1/ssh-keys')).body.items).toEqual([]);
    // As a shell's `echo` hands it on.
    const signature = signatureOf(theirs, `${proof.challenge}\n`);
    const withLineEnd = { publicKey, proof: { challenge: proof.challenge, signature } };
    expect((await call(owner, 'POST', '/v1/ssh-keys', withLineEnd)).status).toBe(201);
  });

  test('a registration from before, without proof, yields to who holds the key, and its owner is told', async () => {
    const { id, file } = await register(owner);
    const other = await newTenantKey(trial.database);
    await trial.database.query('UPDATE ssh_keys SET proved = false WHERE id = $1', [id]);
    expect((await ssh(file, 'team', ['true']).ended).code).toBe(0);
    expect((await call(other, 'POST', '/v1/ssh-keys', await registration(other, file))).status).toBe(201);
    expect((await call(owner, 'GET', '/v1/ssh-keys')).body.items).toEqual([]);
    const { rows } = await trial.database.query('SELECT tenant_id, message FROM events WHERE subject = $1', [id]);
    expect(rows).toContainEqual({ tenant_id: owner.tenantId, message: expect.stringContaining('without proof') });
    expect((await ssh(file, 'team', ['true']).ended).stderr).toContain('you have no cluster');
  });

  test('a member removes their own keys, and a colleague’s only with accounts:write', async () => {
    const { id } = await register(owner);
    const colleague = (await call(owner, 'POST', '/v1/users', { name: 'mate', role: 'member' })).body;
    const { body } = await call(owner, 'POST', '/v1/api-keys', { name: 'k', userId: colleague.id });
    const mate: TestKey = { ...owner, userId: colleague.id, keyId: body.id, apiKey: body.secret };
    expect((await call(mate, 'DELETE', `/v1/ssh-keys/${id}`)).status).toBe(403);
    const own = await register(mate);
    expect((await call(mate, 'DELETE', `/v1/ssh-keys/${own.id}`)).status).toBe(200);
    const third = await register(mate);
    expect((await call(owner, 'DELETE', `/v1/ssh-keys/${third.id}`)).status).toBe(200);
  });

  test('the host key is told as ssh will see it', async () => {
    const { body } = await call(owner, 'GET', '/v1/ssh');
    expect(body).toEqual({ port, hostKey: hostKey.public, fingerprint: expect.stringMatching(/^SHA256:/) });
  });
});

test('the record of what has ended is forgotten after its time, so many at once; what goes on stays', async () => {
  const other = await newTenantKey(trial.database);
  await trial.database.query(
    `INSERT INTO ssh_sessions (id, tenant_id, user_id, kind, via, key_fingerprint, address, started_at, seen_at, ended_at, end_reason)
     SELECT 'prune-' || n, $1, $2, 'shell', 'ssh', 'SHA256:x', '192.0.2.1', now() - n * interval '1 day', now(),
       CASE WHEN n < 9 THEN now() - n * interval '1 day' END, CASE WHEN n < 9 THEN 'refused: x' END
     FROM generate_series(1, 9) n`,
    [other.tenantId, other.userId],
  );
  const left = async () =>
    (await call(other, 'GET', '/v1/ssh-sessions')).body.items.map(({ id }: SshSession) => Number(id.slice(6))).sort();
  expect(await forgetOld(trial.database, 4, 3)).toBe(true);
  expect(await left()).toEqual([1, 2, 3, 4, 5, 9]);
  expect(await forgetOld(trial.database, 4, 3)).toBe(false);
  expect(await left()).toEqual([1, 2, 3, 9]);
});
