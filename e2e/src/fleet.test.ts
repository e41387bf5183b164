/** Many machines join by SSH: real sshd, real OpenSSH client, the packed agent, each on a port and in a directory of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { freePort, processesNaming, repository, Sshd, Stack, sshdObstacle, until } from './harness/index.js';

jest.setTimeout(120_000);

const obstacle = sshdObstacle();
if (obstacle !== null) process.stderr.write(`${obstacle}: joining by SSH is NOT tested\n`);
const ifPossible = obstacle === null ? test : test.skip;
// Only root can have an account with a password that only this test knows.
const ifRoot = obstacle === null && process.getuid?.() === 0 ? test : test.skip;

const password = 'correct-horse-7f3a91';
let stack: Stack;
let home: string;
const hosts: Record<string, Sshd> = {};

beforeAll(async () => {
  if (obstacle !== null) return;
  home = mkdtempSync('/var/tmp/iocloud-fleet-');
  for (const name of ['key', 'stranger']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, name)]);
  }
  const ours = readFileSync(join(home, 'key.pub'), 'utf8');
  for (const name of ['one', 'two', 'three']) hosts[name] = await Sshd.start(ours);
  hosts.four = await Sshd.start(readFileSync(join(home, 'stranger.pub'), 'utf8'));
  if (process.getuid?.() === 0) hosts.five = await Sshd.start('', password);
  const jump = `Host three\n  HostName 127.0.0.1\n  Port ${hosts.three?.port}\n  User ${userOf('one')}\n  ProxyJump one\n`;
  const direct = `Host one\n  HostName 127.0.0.1\n  Port ${hosts.one?.port}\n  User ${userOf('one')}\n  UserKnownHostsFile ${join(home, 'jump_hosts')}\n  StrictHostKeyChecking accept-new\n`;
  writeFileSync(
    join(home, 'ssh_config'),
    `${jump}${direct}Host *\n  IdentityFile ${join(home, 'key')}\n  IdentityAgent none\n`,
  );
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
});
afterAll(async () => {
  const directories = Object.values(hosts).map(({ directory }) => directory);
  for (const directory of directories) {
    const file = join(directory, 'agent', 'keeper.pid');
    if (existsSync(file)) process.kill(JSON.parse(readFileSync(file, 'utf8')).pid, 'SIGTERM');
  }
  for (const host of Object.values(hosts)) await host.close();
  for (const directory of directories) {
    await until('nothing of the machine runs', 30_000, () => processesNaming(directory).length === 0);
    rmSync(directory, { recursive: true });
  }
  await stack?.stop();
  if (home) rmSync(home, { recursive: true });
});

const userOf = (name: string) => hosts[name]?.address.split('@')[0] ?? '';
const agentOf = (name: string) => join(hosts[name]?.directory ?? '', 'agent');
/** As in an inventory file. */
const line = (name: string, ...settings: string[]) =>
  [
    name === 'three' ? 'three' : hosts[name]?.address,
    `name=${name} dir=${agentOf(name)} ray-environment=${stack.env.IOCLOUD_VENV} cpus=2`,
    ...settings,
  ].join(' ');

function inventory(...lines: string[]): string {
  const file = join(home, 'inventory');
  writeFileSync(file, `# the fleet of this test\n\n${lines.join('\n')}\n`);
  return file;
}

const words = (file: string, ...more: string[]) => [
  join(repository, 'cli/bin/iocloud.js'),
  ...['node', 'add', '--inventory', file, '--ssh-config', join(home, 'ssh_config'), ...more],
];
const environment = () => ({ ...stack.env, XDG_CONFIG_HOME: join(home, 'config') });
const known = () => join(home, 'config', 'iocloud', 'fleet', 'known_hosts');

function start(
  file: string,
  ...more: string[]
): { child: ChildProcess; stderr(): string; ended: Promise<number | null> } {
  const child = spawn(process.execPath, words(file, ...more), {
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return { child, stderr: () => stderr, ended: once(child, 'close').then(([code]) => code as number | null) };
}

interface Outcome {
  name: string;
  state: string;
  nodeId: string | null;
  reason: string;
}

/** Runs it to its end: exit code, and name → outcome. */
async function add(file: string, ...more: string[]): Promise<{ code: number | null; of: Record<string, Outcome> }> {
  const { code, stdout, stderr } = await stack.run(process.execPath, words(file, '--json', ...more), {
    env: environment(),
  });
  if (stdout === '') throw new Error(stderr);
  return { code, of: Object.fromEntries(JSON.parse(stdout).map((one: Outcome) => [one.name, one])) };
}

const joined = { state: 'joined', nodeId: expect.stringMatching(/^nd_/), reason: '' };

ifPossible(
  'machines join side by side, one through another; one that does not let us in is told of, and goes on alone',
  async () => {
    const file = inventory(
      line('one', 'region=attic gpu-price=2.50'),
      line('two', 'shared'),
      line('three'),
      line('four'),
    );
    const first = await add(file);
    expect(first).toMatchObject({
      code: 1,
      of: { one: joined, two: joined, three: joined, four: { state: 'failed' } },
    });
    expect(first.of.four?.reason).toContain('does not let');
    expect(first.of.four?.reason).not.toContain('\n');
    const { body } = await stack.call('GET', '/v1/nodes');
    const node = (name: string) => body.items.find((one: { name: string }) => one.name === name);
    expect(node('one')).toMatchObject({ state: 'online', terms: { region: 'attic', microUsdPerGpuHour: 2_500_000 } });
    expect(node('two')).toMatchObject({ state: 'online', shared: true });
    expect(node('three')).toMatchObject({ state: 'online', shared: false });
    expect(node('four')).toBeUndefined();
    // The jump was ssh's own affair, and each machine made a key of its own.
    expect(
      readFileSync(known(), 'utf8')
        .trim()
        .split('\n')
        .map(text => text.split(' ')[0])
        .sort(),
    ).toEqual(['one', 'two', 'three', 'four'].map(name => `[127.0.0.1]:${hosts[name]?.port}`).sort());
    expect(statSync(join(agentOf('one'), 'device_ed25519_key')).mode & 0o777).toBe(0o600);
  },
);

ifPossible(
  'interrupted, killed and run again, it goes on: those that had joined are left alone, and nothing is made twice',
  async () => {
    hosts.four?.allow(readFileSync(join(home, 'key.pub'), 'utf8'));
    const file = inventory(line('one'), line('four'));
    const interrupted = start(file);
    await until('it to be at work', 30_000, () => interrupted.stderr().includes('connecting'));
    interrupted.child.kill('SIGINT');
    expect(await interrupted.ended).toBe(130);
    const killed = start(file);
    await until('a machine to be approved', 60_000, () => {
      if (killed.child.exitCode !== null) throw new Error(killed.stderr());
      return /approved as four/.test(killed.stderr());
    });
    killed.child.kill('SIGKILL');
    await killed.ended;
    const again = await add(file);
    expect(again).toMatchObject({ code: 0, of: { one: { state: 'there already' }, four: joined } });
    const { body } = await stack.call('GET', '/v1/nodes');
    const named = body.items.filter(({ name }: { name: string }) => name.startsWith('four'));
    expect(named).toMatchObject([{ id: again.of.four?.nodeId, state: 'online' }]);
    expect(processesNaming(agentOf('four')).filter(({ command }) => command.includes(' --keeper '))).toHaveLength(1);
  },
);

ifPossible('a machine whose host key has changed gets nothing, until its pin is removed', async () => {
  const two = hosts.two as Sshd;
  await two.close();
  two.newHostKey();
  await two.listen();
  const file = inventory(line('two'));
  const refused = await add(file, '--again');
  const reason = refused.of.two?.reason ?? '';
  expect([refused.code, reason]).toEqual([
    1,
    expect.stringContaining('its host key is another one than the first time'),
  ]);
  const [, at = ''] = new RegExp(`remove line (\\d+) of ${known()} `).exec(reason) ?? [];
  const pins = readFileSync(known(), 'utf8').split('\n');
  expect(pins[Number(at) - 1]).toMatch(`[127.0.0.1]:${two.port} `);
  writeFileSync(known(), pins.filter((_, index) => index !== Number(at) - 1).join('\n'));
  expect(await add(file, '--again')).toMatchObject({ code: 0, of: { two: joined } });
});

ifPossible('what keeps a machine from joining is said in one line', async () => {
  const one = hosts.one as Sshd;
  const file = inventory(
    `${one.address} name=blind dir=${join(one.directory, 'blind')}`,
    `${userOf('one')}@127.0.0.1:${await freePort()} name=deaf`,
    `nobody-there.invalid name=lost`,
  );
  const { code, of } = await add(file, '--again', '--control-plane-address', 'http://127.0.0.1:9');
  expect(code).toBe(1);
  expect(of.blind?.reason).toMatch(
    /could not be fetched from http:\/\/127\.0\.0\.1:9: can this machine reach it\? \(curl: /,
  );
  expect(of.deaf?.reason).toMatch(/Connection refused/);
  expect(of.lost?.reason).toMatch(/resolve hostname nobody-there\.invalid/);
});

ifRoot('a password is asked for once, and stands in no file, argument or environment', async () => {
  const file = inventory(line('five'));
  // A terminal of its own, on which the password is typed.
  const pty = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
  const typed = async (text: string) => {
    const child = spawn('python3', ['-c', pty, process.execPath, ...words(file, '--ask-password')], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let shown = '';
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const ended = once(child, 'close').then(([code]) => code as number);
    await until('the question', 20_000, () => shown.includes('Password of your user'));
    child.stdin.write(`${text}\n`);
    return { ended, shown: () => shown };
  };
  const wrong = await typed('not-it');
  expect([await wrong.ended, wrong.shown()]).toEqual([1, expect.stringContaining('does not let')]);

  const right = await typed(password);
  const looked = () => {
    lookForPassword();
    return right.shown().includes('approved as five');
  };
  await until('ssh to have logged in', 60_000, looked, 20);
  expect([await right.ended, right.shown()]).toEqual([0, expect.stringContaining('approved as five')]);
  expect(right.shown()).not.toContain(password);
  for (const directory of [home, hosts.five?.directory ?? '', stack.home]) expect(filesWith(directory)).toEqual([]);
});

/** At all processes: none may name the password. */
function lookForPassword(): void {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    for (const file of ['cmdline', 'environ']) {
      let text = '';
      try {
        text = readFileSync(`/proc/${pid}/${file}`, 'utf8');
      } catch {
        continue; // it has just ended
      }
      if (text.includes(password)) throw new Error(`${file} of ${pid} names the password`);
    }
  }
}

function filesWith(directory: string): string[] {
  try {
    return execFileSync('grep', ['-rlF', '--', password, directory], { encoding: 'utf8' }).trim().split('\n');
  } catch (error) {
    if ((error as { status?: number }).status === 1) return []; // none
    throw error;
  }
}
