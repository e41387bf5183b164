/** A machine joins by the one line: real script, real archive, real agent, real Ray. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { installLine, interrupt, processesNaming, Stack, until } from './harness/index.js';

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

function install(...options: string[]): ChildProcess {
  joining = installLine(stack, directory, options, text => {
    said += text;
  });
  return joining;
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
