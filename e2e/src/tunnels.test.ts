/** Renters in their leases: plain OpenSSH, ports, the browser's terminal, on real Ray; and all whom that must keep out. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';
import {
  exchange,
  findChromium,
  freePort,
  handshake,
  processes,
  repository,
  SshUser,
  Stack,
  until,
} from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let user: SshUser;
// biome-ignore lint/suspicious/noExplicitAny: the API's own shape
let team: any;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '6' } });
  team = await stack.cluster('team', { workerGroups: [{ name: 'w', count: 1, cpus: 1 }] });
  await until('the worker', 60_000, async () => {
    const { body } = await stack.call('GET', `/v1/clusters/${team.id}`);
    return body.leases.every((lease: { phase: string }) => lease.phase === 'ready') ? body : null;
  });
  user = await SshUser.register(stack);
});
afterAll(() => stack?.stop());

// biome-ignore lint/suspicious/noExplicitAny: the API's own shape
const sessions = async (query = ''): Promise<any[]> => (await stack.call('GET', `/v1/ssh-sessions${query}`)).body.items;

const place = [
  'for n in net pid mnt uts; do readlink /proc/self/ns/$n; done',
  'id -u; ulimit -a; umask; echo "$PATH"; cat /proc/self/cgroup; grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status',
  'grep -c . /proc/self/mounts; python -c "import sys; print(sys.executable)"',
].join('; ');

describe('an OpenSSH client', () => {
  test('is where the jobs of the cluster are: same namespaces, mounts, user, limits, environment', async () => {
    const id = await stack.submit(`bash -c '${place}'`, { metadata: { 'io.cluster': 'team' } });
    await stack.ended(id);
    const lines = (text: string) => text.split('\n').filter(line => /^[a-z]+:\[|^\d+$|^[a-z(].*|^\/|^Cap/.test(line));
    const ofJob = lines(await stack.log(id));
    const ofShell = lines(await user.output('team', place));
    expect(ofShell.length).toBeGreaterThan(20);
    expect(ofShell.filter(line => !ofJob.some(other => other.endsWith(line)))).toEqual([]);
    expect(ofShell[0]).not.toBe(readlinkSync('/proc/self/ns/net'));
  });

  test('finds Ray there, with its token, and sees the cluster', async () => {
    const seen = await user.output('team', 'python -c "import ray; ray.init(); print(len(ray.nodes()))"');
    expect(seen.trim()).toBe('2');
  });

  test('gets into a worker by its place, whose processes are its own', async () => {
    const head = await user.output('team', 'cat /proc/1/cmdline');
    const worker = await user.output('team+w-0', 'cat /proc/1/cmdline');
    const idOf = (text: string) => /ls_[0-9a-z]{20}/.exec(text)?.[0];
    expect(idOf(head)).toBe(team.leases.find((lease: { role: string }) => lease.role === 'head').id);
    expect(idOf(worker)).toBe(team.leases.find((lease: { role: string }) => lease.role === 'worker').id);
  });

  test('has a terminal, whose program hears Ctrl-C, and whose exit is the client’s', async () => {
    const run = user.ssh('team', [], ['-tt']);
    const sleeps = () => processes().some(({ command }) => command === 'sleep 600');
    run.child.stdin?.write('sleep 600; echo never-$((40+2))\n');
    await until('sleep', 20_000, sleeps);
    run.child.stdin?.write('\x03');
    await until('the end of sleep', 20_000, () => !sleeps());
    run.child.stdin?.write('echo on-$((40+2)); exit 9\n');
    const { code, stdout } = await run.ended;
    expect(stdout).toContain('on-42');
    expect([code, stdout.includes('never-42')]).toEqual([9, false]);
  });

  test('copies files into the /tmp that the cluster’s jobs have, and out of it, unharmed', async () => {
    const bytes = Buffer.alloc(3_000_000, 'some bytes ');
    writeFileSync(join(user.directory, 'file'), bytes);
    expect(await user.scp(join(user.directory, 'file'), 'team@127.0.0.1:/tmp/copied').ended).toMatchObject({ code: 0 });
    expect(existsSync('/tmp/copied')).toBe(false);
    const id = await stack.submit('wc -c /tmp/copied', { metadata: { 'io.cluster': 'team' } });
    expect((await stack.ended(id)).status).toBe('SUCCEEDED');
    expect(await stack.log(id)).toContain('3000000 /tmp/copied');
    expect(await user.scp('team@127.0.0.1:/tmp/copied', join(user.directory, 'back')).ended).toMatchObject({ code: 0 });
    expect(Buffer.compare(readFileSync(join(user.directory, 'back')), bytes)).toBe(0);
  });

  test('can do what editors need: a script on standard input, several channels, a proxy of ports, a Unix socket', async () => {
    const control = join(user.directory, 'c');
    const socks = await freePort();
    const master = user.ssh('team', [], ['-N', '-M', '-S', control, '-D', `127.0.0.1:${socks}`]);
    await until('the connection', 20_000, async () => {
      return (await user.start('ssh', ['-S', control, '-O', 'check', 'x']).ended).code === 0;
    });
    const server = [
      'import socket, threading',
      'def serve(listener):',
      '    while True:',
      '        one, _ = listener.accept()',
      '        one.sendall(b"editor " + one.recv(100)); one.close()',
      'unix = socket.socket(socket.AF_UNIX); unix.bind("/tmp/editor.sock"); unix.listen()',
      'tcp = socket.create_server(("127.0.0.1", 0)); print(tcp.getsockname()[1], flush=True)',
      'threading.Thread(target=serve, args=(unix,)).start(); serve(tcp)',
    ].join('\n');
    const script = `cat > /tmp/editor.py <<'EOP'\n${server}\nEOP\nexec python /tmp/editor.py\n`;
    const run = user.start('ssh', ['-S', control, 'x', 'bash -s'], script);
    await until('the server', 20_000, () => /^\d+\n/.test(run.stdout()));
    const port = Number(run.stdout().trim());
    // SOCKS5 (RFC 1928): no authentication, connect to 127.0.0.1:port.
    const asked = Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]);
    expect(await exchange(socks, Buffer.concat([asked, Buffer.from('hello')]))).toContain('editor hello');
    const unix = await user.forward('team', '/tmp/editor.sock');
    expect(await exchange(unix.port, 'socket')).toBe('editor socket');
    unix.run.child.kill();
    run.child.kill();
    master.child.kill();
    await master.ended;
  });
});

describe('ports', () => {
  let server: ReturnType<SshUser['ssh']>;
  let inside: number;
  beforeAll(async () => {
    server = user.ssh('team', ['cd /tmp && echo found > page && exec python -u -m http.server --bind 127.0.0.1 0']);
    await until('the server', 20_000, () => /port (\d+)/.test(server.stdout()));
    inside = Number(/port (\d+)/.exec(server.stdout())?.[1]);
  });
  afterAll(() => void server?.child.kill());

  test('inside the cluster are reached by ssh -L, and from nowhere else', async () => {
    const { run, port } = await user.forward('team', `localhost:${inside}`);
    expect(await exchange(port, 'GET /page HTTP/1.0\r\n\r\n')).toContain('found');
    run.child.kill();
    expect(await exchange(inside, 'GET /page HTTP/1.0\r\n\r\n')).toBe('');
  });

  test('and by iocloud port-forward, without an SSH key', async () => {
    const local = await freePort();
    const cli = join(repository, 'cli/bin/iocloud.js');
    const run = user.start(process.execPath, [cli, 'port-forward', 'team', `${local}:${inside}`]);
    await until('the forward', 20_000, () => run.stdout().includes(`127.0.0.1:${local} is team:${inside}`));
    expect(await exchange(local, 'GET /page HTTP/1.0\r\n\r\n')).toContain('found');
    run.child.kill('SIGINT');
    expect((await run.ended).code).toBe(130);
  });

  test('and others go on at speed while a client on the same machine has stopped reading', async () => {
    const stalled = user.ssh('team', ['yes stalled']);
    await until('output', 20_000, () => stalled.stdout().length > 0);
    stalled.child.stdout?.pause();
    stalled.child.kill('SIGSTOP');
    const bytes = 50_000_000;
    const { run, port } = await user.forward('team', `localhost:${inside}`);
    await user.output('team', `head -c ${bytes} /dev/zero > /tmp/large`);
    const began = Date.now();
    const [shell, forward] = await Promise.all([
      user.output('team', `head -c ${bytes} /dev/zero`),
      exchange(port, 'GET /large HTTP/1.0\r\n\r\n'),
    ]);
    expect([shell.length, forward.length > bytes]).toEqual([bytes, true]);
    expect(Date.now() - began).toBeLessThan(30_000);
    stalled.child.kill('SIGKILL');
    run.child.kill();
  });

  test('of the machine, of its network and of the cloud’s metadata are refused, and each try is on record', async () => {
    // Something that would answer, on all addresses of the machine.
    const host = createServer(socket => socket.end('the machine itself'));
    host.listen(0, '0.0.0.0');
    const hostSocket = `/run/e2e-${process.pid}.sock`;
    const unix = createServer(socket => socket.end('the machine itself')).listen(hostSocket);
    await once(host, 'listening');
    const { port: hostPort } = host.address() as { port: number };
    const gateway = await user
      .output(
        'team',
        `python -c "import socket,struct;print([socket.inet_ntoa(struct.pack('<L',int(l.split()[2],16))) for l in open('/proc/net/route') if l.split()[1]=='00000000'][0])"`,
      )
      .catch(() => '10.199.0.1');
    const machine = Object.values(networkInterfaces())
      .flatMap(list => list ?? [])
      .find(one => one.family === 'IPv4' && !one.internal);
    const targets = [
      `${gateway.trim()}:${hostPort}`,
      ...(machine ? [`${machine.address}:${hostPort}`] : []),
      '169.254.169.254:80',
      `[::ffff:${gateway.trim()}]:${hostPort}`,
      `example.com:${hostPort}`,
      `0.0.0.0:${hostPort}`,
      hostSocket,
    ];
    for (const target of targets) {
      const { run, port } = await user.forward('team', target);
      expect([target, await exchange(port, 'x')]).toEqual([target, '']);
      run.child.kill();
      await run.ended;
    }
    // The machine's own loopback is not that of the lease: nobody listens there.
    const { run, port } = await user.forward('team', `127.0.0.1:${hostPort}`);
    expect(await exchange(port, 'x')).toBe('');
    run.child.kill();
    host.close();
    unix.close();
    const refused = (await sessions()).filter(one => one.kind === 'forward' && one.endReason?.startsWith('refused'));
    expect(refused.length).toBeGreaterThanOrEqual(targets.length);
    expect(refused.map(one => one.target)).toContain('169.254.169.254:80');
  });
});

describe('who is kept out', () => {
  test('another tenant with a key of its own, by every name of ours', async () => {
    const { body } = await stack.call('POST', '/v1/tenants', { name: 'mallory' });
    const headers = { authorization: `Bearer ${body.apiKey.secret}` };
    const mallory = await SshUser.register(stack, headers);
    const names = ['team', team.id, team.leases[0].id, team.leases[0].nodeId, `team+${team.leases[0].nodeId}`];
    for (const name of names) {
      const { code, stdout, stderr } = await mallory.ssh(name, ['echo in']).ended;
      expect([name, code, stdout, stderr]).toEqual([name, 255, '', expect.stringContaining('you have no cluster')]);
    }
    const { port } = await mallory.forward('team', 'localhost:8265');
    expect(await exchange(port, 'GET /api/version HTTP/1.0\r\n\r\n')).toBe('');
    expect(await handshake(stack.address, `/v1/clusters/${team.id}/ports/8265`, headers)).toBe(404);
    expect(await handshake(stack.address, `/clusters/${team.id}/terminal/socket`, headers)).toBe(404);
  });

  test('a key that is not registered, a device’s own key as a renter, and no key at all', async () => {
    const stranger = await SshUser.register(stack);
    await stack.call('DELETE', `/v1/ssh-keys/${stranger.keyId}`);
    expect((await stranger.ssh('team', ['true']).ended).stderr).toContain('Permission denied (publickey)');
    const none = user.start('ssh', [
      '-F',
      '/dev/null',
      '-o',
      'BatchMode=yes',
      '-o',
      'IdentityFile=none',
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-p',
      String(user.port),
      'team@127.0.0.1',
      'true',
    ]);
    expect((await none.ended).stderr).toContain('Permission denied (publickey)');
    expect(await handshake(stack.address, `/v1/clusters/${team.id}/ports/8265`, {})).toBe(401);
  });

  test('a page of another site, whatever login its browser has', async () => {
    const cookie = await login();
    const path = `/clusters/${team.id}/terminal/socket`;
    expect(await handshake(stack.address, path, { cookie, origin: 'https://evil.example' })).toBe(403);
    expect(await handshake(stack.address, path, { cookie, origin: 'null' })).toBe(403);
    expect(await handshake(stack.address, path, { cookie, origin: stack.address })).toBe('open');
    expect(
      await handshake(stack.address, `/v1/clusters/${team.id}/ports/8265`, { cookie, origin: stack.address }),
    ).toBe(401);
  });
});

describe('the command line', () => {
  test('runs ssh, writes a configuration that ssh takes, and lists what was opened', async () => {
    const env = { HOME: user.directory, XDG_CONFIG_HOME: join(user.directory, 'config') };
    const run = (...args: string[]) =>
      stack.run(process.execPath, [join(repository, 'cli/bin/iocloud.js'), ...args], { env });
    const printed = await run('ssh', '--print', 'team');
    expect(printed.stdout).toMatch(/^ssh -p \d+ .*team@127\.0\.0\.1\n$/);
    const config = await run('ssh-config');
    const file = join(user.directory, 'ssh-config');
    writeFileSync(file, config.stdout);
    const key = ['-i', join(user.directory, 'key'), '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes'];
    expect(await stack.run('ssh', ['-F', file, ...key, 'iocloud-team', 'echo by-config'])).toMatchObject({
      code: 0,
      stdout: 'by-config\n',
    });
    const listed = JSON.parse((await run('ssh-sessions', '--cluster', 'team', '--limit', '1', '--json')).stdout);
    expect(listed).toEqual([expect.objectContaining({ kind: 'exec', endReason: 'exit code 0', bytesOut: 10 })]);
    expect((await run('ssh-sessions')).stdout).toContain('exit code 0');
    expect((await run('ssh-key', 'list')).stdout).toContain('SHA256:');
  });

  test('registers a key that signs: by its file, by an ssh-agent, or elsewhere; and none that does not', async () => {
    const make = (name: string) => {
      const file = join(user.directory, name);
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
      return file;
    };
    const added = async (...args: string[]) => {
      const { code, stdout, stderr } = await stack.iocloud('ssh-key', 'add', ...args);
      expect([code, stderr, stdout]).toEqual([0, '', expect.stringContaining('opens your clusters now')]);
    };
    await added(`${make('by-file')}.pub`);

    const held = make('by-agent');
    const socket = join(user.directory, 'agent');
    const sshAgent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    try {
      await until('the ssh-agent', 10_000, () => existsSync(socket));
      const env = { ...stack.env, SSH_AUTH_SOCK: socket };
      execFileSync('ssh-add', ['-q', held], { env, stdio: 'pipe' });
      rmSync(held);
      const line = [process.execPath, join(repository, 'cli/bin/iocloud.js'), 'ssh-key', 'add', '-'];
      const script = '"$@" < "$KEY"';
      const { code, stderr } = await stack.run('sh', ['-c', script, 'sh', ...line], {
        env: { SSH_AUTH_SOCK: socket, KEY: `${held}.pub` },
      });
      expect([code, stderr]).toEqual([0, '']);
    } finally {
      const gone = once(sshAgent, 'exit');
      sshAgent.kill();
      await gone;
    }

    const far = make('elsewhere');
    const challenge = join(user.directory, 'challenge');
    writeFileSync(challenge, (await stack.iocloud('ssh-key', 'challenge')).stdout);
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'iocloud', '-f', far, challenge], { stdio: 'pipe' });
    await added(`${far}.pub`, '--challenge', challenge, '--signature', `${challenge}.sig`);

    const theirs = make('theirs');
    rmSync(theirs);
    const refused = await stack.iocloud('ssh-key', 'add', `${theirs}.pub`);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/^iocloud: the key could not sign[^\n]*\n$/),
    ]);
    const { body } = await stack.call('GET', '/v1/ssh-keys');
    const names = body.items
      .filter(({ proved }: { proved: boolean }) => proved)
      .map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['by-file', 'by-agent', 'elsewhere']));
    expect(names).not.toContain('theirs');
  });
});

describe('the browser’s terminal', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser?.close());

  test('asks for a login, then is a shell in the head, at the size of its window, until it exits', async () => {
    const page = await (await browser.newContext()).newPage();
    const faults: string[] = [];
    page.on('console', message => {
      if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')) faults.push(message.text());
    });
    page.on('pageerror', error => faults.push(error.message));
    const path = `/clusters/${team.id}/terminal`;
    expect((await page.goto(`${stack.address}${path}`))?.status()).toBe(401);
    faults.length = 0;
    await page.getByLabel('API key').fill(stack.apiKey);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.waitForURL(url => url.pathname === path);
    await page.getByText('connected').waitFor();
    await page.locator('#terminal').click();
    await page.keyboard.type('echo web-$((40+2)) $(tty) $(readlink /proc/self/ns/net)\n');
    const shown = () => page.locator('.xterm-rows').innerText();
    const net = (await user.output('team', 'readlink /proc/self/ns/net')).trim();
    await until('the answer', 20_000, async () => (await shown()).replaceAll('\n', '').includes(`web-42 /dev/pts/`));
    expect((await shown()).replaceAll(/\s/g, '')).toContain(net);
    await page.keyboard.type('stty size\n');
    await until('its size', 20_000, async () => /\n\s*\d\d\s\d{2,3}\s*\n/.test(await shown()));
    await page.keyboard.type('exit 3\n');
    await page.getByText('closed: exit code 3').waitFor();
    expect(faults).toEqual([]);
    const [last] = (await sessions()).filter(one => one.via === 'browser');
    expect(last).toMatchObject({ kind: 'shell', endReason: 'exit code 3', keyFingerprint: null });
    await page.close();
  });

  test('cannot be framed, and runs scripts of its own alone', async () => {
    const cookie = await login();
    const response = await fetch(`${stack.address}/clusters/${team.id}/terminal`, { headers: { cookie } });
    const policy = response.headers.get('content-security-policy') ?? '';
    const { host } = new URL(stack.address);
    expect(policy).toContain(`script-src ${host}/terminal/;`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(await response.text()).not.toMatch(/<script(?![^>]*\ssrc="\/terminal\/)/);
  });
});

describe('access ends', () => {
  test('not with the agent’s connection for Ray: the shell ends with a word, the job goes on, a new shell opens', async () => {
    const id = await stack.submit('sleep 15; echo survived', { metadata: { 'io.cluster': 'team' } });
    await until('the job', 60_000, async () => (await stack.job(id)).status === 'RUNNING');
    const run = user.ssh('team', ['echo up; sleep 700'], ['-tt']);
    await until('the shell', 20_000, () => run.stdout().includes('up'));
    await stack.kill9('agent');
    const { code, stderr } = await run.ended;
    expect([code, stderr]).toEqual([255, expect.stringContaining('the connection to the machine broke off')]);
    await until('its program to be hung up', 10_000, () => !processes().some(one => one.command === 'sleep 700'));
    await until(
      'a new shell',
      60_000,
      async () => (await user.ssh('team', ['echo again'], [], '').ended).stdout === 'again\n',
    );
    expect((await stack.ended(id)).status).toBe('SUCCEEDED');
    expect(await stack.log(id)).toContain('survived');
  });

  test('at once with the key: shell and forward', async () => {
    const other = await SshUser.register(stack);
    const run = other.ssh('team', ['echo up; sleep 701'], ['-tt']);
    await until('the shell', 20_000, () => run.stdout().includes('up'));
    const forward = await other.forward('team', 'localhost:8265');
    const began = Date.now();
    await stack.call('DELETE', `/v1/ssh-keys/${other.keyId}`);
    expect((await run.ended).stderr).toContain('the SSH key was removed');
    await forward.run.ended;
    expect(Date.now() - began).toBeLessThan(3_000);
    await until('its program to end', 10_000, () => !processes().some(one => one.command === 'sleep 701'));
  });

  test('at once with the cluster: shells, forwards and what they ran', async () => {
    const short = await stack.cluster('short');
    const run = user.ssh('short', ['echo up; trap "" HUP TERM; sleep 702'], ['-tt']);
    await until('the shell', 20_000, () => run.stdout().includes('up'));
    const forward = await user.forward('short', '127.0.0.2:8265');
    const held = exchange(forward.port, '');
    await until('both to be on record', 20_000, async () => {
      return (await sessions(`?cluster=${short.id}&live=true`)).length === 2;
    });
    const began = Date.now();
    await stack.call('DELETE', `/v1/clusters/${short.id}`);
    expect((await run.ended).stderr).toContain('iocloud: the lease has ended');
    await held;
    expect(Date.now() - began).toBeLessThan(3_000);
    await stack.clusterIn(short.id, 'deleted');
    expect(processes().some(one => one.command === 'sleep 702')).toBe(false);
    expect(await sessions(`?cluster=${short.id}&live=true`)).toEqual([]);
    expect((await user.ssh('short', ['true']).ended).stderr).toContain('you have no cluster');
  });
});

async function login(): Promise<string> {
  const response = await fetch(`${stack.address}/login`, {
    method: 'POST',
    body: new URLSearchParams({ key: stack.apiKey }),
    redirect: 'manual',
  });
  return (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
}
