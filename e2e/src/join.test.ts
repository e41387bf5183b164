/** A machine joins by the one line: real script, real archive, real agent, real Ray. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { joinReport } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { installLine, interrupt, processesNaming, repository, Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let directory: string;
let joining: ChildProcess | undefined;
let said = '';
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
});
afterAll(() => stack?.stop());
beforeEach(() => {
  // Not below /tmp: a Ray node has one of its own.
  directory = mkdtempSync('/var/tmp/iocloud-join-');
  said = '';
});
afterEach(async () => {
  await interrupt(joining);
  await until('nothing of the machine runs', 30_000, () => processesNaming(directory).length === 0);
  rmSync(directory, { recursive: true, force: true });
});

const optionsHere = () => ['--dir', directory, '--ray-environment', stack.env.IOCLOUD_VENV ?? ''];
const quoted = (words: string[]) => words.map(word => `'${word}'`).join(' ');
const listen = (text: string) => {
  said += text;
};

/** What a supplier types. */
function install(...options: string[]): ChildProcess {
  joining = installLine(stack, directory, options, listen);
  return joining;
}

function type(line: string, env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const typed = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
  for (const stream of [typed.stdout, typed.stderr]) stream.on('data', (chunk: Buffer) => listen(chunk.toString()));
  joining = typed;
  return typed;
}

const heard = async (what: string, pattern: RegExp) => {
  const ended = () => joining !== undefined && joining.exitCode !== null;
  const found = await until(what, 60_000, () => pattern.exec(said) ?? (ended() ? 'ended' : null)).catch(() => null);
  if (found === null || found === 'ended') throw new Error(`in vain for ${what}; it said:\n${said}`);
  return found;
};

test('one line and a code make a machine that runs jobs, and ends with nothing left', async () => {
  install('--cpus', '2');
  const [, code = ''] = await heard('a code', /iocloud node approve ([A-Z]{4}-[A-Z]{4})/);
  const approved = await stack.iocloud('node', 'approve', code.toLowerCase(), '--name', 'attic', '--yes');
  expect([approved.code, approved.stderr]).toEqual([0, '']);
  await heard('it to be connected', /attic is connected/);
  const { body } = await stack.call('GET', `/v1/device-authorizations/${code}`);
  expect(body.progress.map(({ step, state }: { step: string; state: string }) => [step, state])).toEqual(
    expect.arrayContaining([
      ['ray', 'done'],
      ['service', 'done'],
      ['connected', 'done'],
    ]),
  );
  expect((await stack.iocloud('node', 'set', 'attic', '--region', 'attic')).code).toBe(0);
  const id = await stack.submit('echo it runs in $PWD', { metadata: { 'io.region': 'attic' } });
  expect((await stack.ended(id)).status).toBe('SUCCEEDED');
  expect(await stack.log(id)).toContain('it runs');
  const { body: node } = await stack.call('GET', `/v1/nodes/${body.nodeId}`);
  expect(node).toMatchObject({ name: 'attic', state: 'online', inventory: { cpus: 2, isolation: 'namespace' } });
});

test('it joins but once: the same line again starts its agent', async () => {
  const first = install();
  const [, code = ''] = await heard('a code', /iocloud node approve ([A-Z]{4}-[A-Z]{4})/);
  await stack.iocloud('node', 'approve', code, '--name', 'again', '--yes');
  await heard('it to be connected', /again is connected/);
  await interrupt(first);
  said = '';
  install();
  await heard('it to know', /has joined already/);
  await until('it is online again', 30_000, async () => {
    const { body } = await stack.call('GET', '/v1/nodes');
    return body.items.some(
      ({ name, state }: { name: string; state: string }) => name === 'again' && state === 'online',
    );
  });
  expect(said).not.toContain('iocloud node approve');
});

test('one that was cut off while it waited goes on with its code, and says each step to a program', async () => {
  const line = `curl -fsSL ${stack.address}/install.sh | exec sh -s -- ${quoted(['--detach', '--json', ...optionsHere()])}`;
  const first = type(line);
  const [, code = ''] = await heard('a code', /"userCode":"([A-Z]{4}-[A-Z]{4})"/);
  const gone = once(first, 'exit');
  process.kill(-(first.pid ?? 0), 'SIGKILL');
  await gone;
  said = '';
  const ended = once(type(line), 'close');
  const [, again] = await heard('its code', /"userCode":"([A-Z]{4}-[A-Z]{4})"/);
  expect(again).toBe(code);
  await stack.iocloud('node', 'approve', code, '--name', 'resumed', '--yes');
  expect((await ended)[0]).toBe(0);
  const reports = said.split('\n').filter(text => text.startsWith('{'));
  const events = reports.map(text => joinReport.parse(JSON.parse(text))).filter(({ event }) => event !== 'alive');
  expect(events.map(({ event }) => event).filter((event, at, all) => event !== all[at - 1])).toEqual([
    'code',
    'approved',
    'step',
    'joined',
  ]);
  await endDetached();
});

test('npx joins a machine from the control plane’s own address, with an agent that does not need its cache', async () => {
  const { file } = JSON.parse(readFileSync(join(repository, 'worker-bootstrap/release/manifest.json'), 'utf8'));
  const words = ['--control-plane', stack.address, '--detach', ...optionsHere()];
  const cache = join(directory, 'npm');
  const ended = once(
    // No registry is asked: the address is the whole package.
    type(`exec npx --yes ${quoted([`${stack.address}/agent/${file}`, 'join', ...words])}`, {
      ...process.env,
      NODE_OPTIONS: '',
      npm_config_cache: cache,
      npm_config_update_notifier: 'false',
      npm_config_registry: 'http://127.0.0.1:9',
    }),
    'close',
  );
  const [, code = ''] = await heard('a code', /iocloud node approve ([A-Z]{4}-[A-Z]{4})/);
  await stack.iocloud('node', 'approve', code, '--name', 'by-npx', '--yes');
  expect([(await ended)[0], said]).toEqual([0, expect.stringContaining('by-npx is connected')]);
  rmSync(cache, { recursive: true });
  expect(processesNaming(directory).filter(({ command }) => command.includes(' --keeper '))).toHaveLength(1);
  const { current } = JSON.parse(readFileSync(join(directory, 'release.json'), 'utf8'));
  expect(existsSync(join(directory, 'releases', current.name, 'agent', 'program', 'main.mjs'))).toBe(true);
  const { body } = await stack.call('GET', '/v1/nodes');
  expect(body.items).toContainEqual(expect.objectContaining({ name: 'by-npx', state: 'online' }));
  await endDetached();
});

/** As its owner would, by the process that it named. */
async function endDetached(): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(directory, 'keeper.pid'), 'utf8'));
  process.kill(pid, 'SIGTERM');
  await until('the agent has ended', 20_000, () => !processesNaming(directory).some(one => one.pid === pid));
}

test('a machine that its owner turns away, or that lacks something, is told so and gets nothing', async () => {
  const denied = install();
  const [, code = ''] = await heard('a code', /iocloud node approve ([A-Z]{4}-[A-Z]{4})/);
  const ended = once(denied, 'exit');
  await stack.iocloud('node', 'deny', code);
  expect((await ended)[0]).toBe(1);
  expect(said).toContain('its owner has turned this machine away');
  expect(existsSync(join(directory, 'agent.json'))).toBe(false);

  said = '';
  const [status] = await once(install('--cpus', '1'), 'exit');
  expect([status, said]).toEqual([1, expect.stringContaining('it has 1 CPUs, and 2 are needed')]);
});

test('an archive that is not the one that the script is for is not run, and half a script does nothing', async () => {
  const script = await (await fetch(`${stack.address}/install.sh`)).text();
  const other = script.replace(/^sha256='[0-9a-f]{64}'$/m, `sha256='${'0'.repeat(64)}'`);
  expect(other).not.toBe(script);
  const ran = (text: string) => stack.run('sh', ['-c', text, 'install.sh', '--foreground', '--dir', directory]);
  const refused = await ran(other);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining('is not the one that this script is for'),
  ]);
  expect(readdirSync(directory)).toEqual([]);
  rmSync(directory, { recursive: true });
  await ran(script.slice(0, script.lastIndexOf('main "$@"')));
  expect(existsSync(directory)).toBe(false);
});
