/** `make up`: starting, stopping, starting again, and what goes wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { processesNaming, repository, run, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

const homes: string[] = [];
const newHome = () => {
  const home = mkdtempSync(join(tmpdir(), 'iocloud-up-'));
  homes.push(home);
  return home;
};
afterEach(() => {
  for (const home of homes.splice(0)) {
    for (const { pid } of processesNaming(home)) process.kill(pid, 'SIGKILL');
    rmSync(home, { recursive: true, force: true });
  }
});
const up = (home: string, env: Record<string, string>, ...args: string[]) =>
  run(process.execPath, [join(repository, 'cli/bin/iocloud.js'), 'up', ...args], {
    cwd: repository,
    env: {
      ...(process.env as Record<string, string>),
      NODE_OPTIONS: '',
      IOCLOUD_HOME: home,
      IOCLOUD_SSH_PORT: '0',
      ...env,
    },
  });

test('Ctrl-C leaves no process, and the next start finds jobs, logs and accounts as they were', async () => {
  const stack = await Stack.start({ home: newHome() });
  await stack.ended(await stack.submit('echo remembered', { submission_id: 'before' }));
  const key = (await stack.call('POST', '/v1/api-keys', { name: 'kept' })).body;
  expect(await stack.down()).toBe(0);
  expect(stack.leftovers()).toEqual([]);
  await stack.up();
  expect((await stack.job('before')).status).toBe('SUCCEEDED');
  expect(await stack.log('before')).toContain('remembered');
  const { status } = await stack.call('GET', '/v1/whoami', undefined, { authorization: `Bearer ${key.secret}` });
  expect(status).toBe(200);
  await stack.stop();
});

test('the env file is for its owner alone', async () => {
  const stack = await Stack.start({ home: newHome() });
  for (const name of [
    'env',
    'agent.json',
    'secrets/bootstrap.json',
    'secrets/device_ed25519_key',
    'secrets/postgres-password',
  ]) {
    expect([name, statSync(join(stack.home, name)).mode & 0o777]).toEqual([name, 0o600]);
  }
  const secrets = [stack.apiKey, readFileSync(join(stack.home, 'secrets/postgres-password'), 'utf8')];
  for (const { command } of stack.leftovers()) for (const secret of secrets) expect(command).not.toContain(secret);
  for (const secret of secrets) expect(stack.logs()).not.toContain(secret);
  await stack.stop();
});

test('the first start runs a Ray job through the front door and says how to go on', async () => {
  const home = newHome();
  const launcher = spawn(process.execPath, [join(repository, 'cli/bin/iocloud.js'), 'up'], {
    cwd: repository,
    env: { ...process.env, NODE_OPTIONS: '', IOCLOUD_HOME: home, IOCLOUD_PORT: '0', IOCLOUD_SSH_PORT: '0' },
  });
  let output = '';
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  await until('the banner', 120_000, () => output.includes('make clean') || launcher.exitCode !== null);
  expect(output).toContain('squares from Ray: [0, 1, 4, 9, 16]');
  // The line that it prints works as pasted.
  const line = /first job\s+(source .*)/.exec(output)?.[1] ?? '';
  const pasted = await run('bash', ['-c', line]);
  expect(pasted.stdout + pasted.stderr).toContain("'CPU'");
  expect(pasted.code).toBe(0);
  const link = /dashboard\s+(http\S+)/.exec(output)?.[1] ?? '';
  expect((await fetch(link, { redirect: 'manual' })).status).toBe(303);
  launcher.kill('SIGINT');
  await once(launcher, 'exit');
  expect(processesNaming(home)).toEqual([]);
});

describe('what goes wrong says what to do', () => {
  test('a taken port names its holder', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const { code, stderr } = await up(newHome(), { IOCLOUD_PORT: String(port) });
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${port} is taken by pid ${process.pid}`);
    expect(stderr).toContain('IOCLOUD_PORT');
  });

  test('a second start with the same home names the first', async () => {
    const stack = await Stack.start({ home: newHome() });
    const { code, stderr } = await up(stack.home, { IOCLOUD_PORT: '0' });
    expect(code).toBe(1);
    expect(stderr).toContain(`already running as pid ${stack.launcherPid}`);
    await stack.stop();
  });

  test.each([
    [{ IOCLOUD_PORT: 'http' }, 'IOCLOUD_PORT: http is no port'],
    [{ IOCLOUD_NODE_CPUS: '-1' }, 'IOCLOUD_NODE_CPUS: -1 is no positive number'],
    [{ IOCLOUD_SIMULATED_GPUS: 'many' }, 'IOCLOUD_SIMULATED_GPUS: many is not of the form 8xH100:80GiB'],
  ])('%j is refused in one line', async (env, message) => {
    const { code, stderr } = await up(newHome(), env as unknown as Record<string, string>);
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toEqual([expect.stringContaining(`iocloud: ${message}`)]);
  });

  test('an unknown IOCLOUD_ key stops the start with its name', async () => {
    const { code, stderr } = await up(newHome(), { IOCLOUD_PORT: '0', IOCLOUD_HTPP_PORT: '1' });
    expect(code).toBe(1);
    expect(stderr).toContain('IOCLOUD_HTPP_PORT');
  });
});

test('a launcher that is killed -9 leaves nothing that the next start does not take over', async () => {
  const stack = await Stack.start({ home: newHome() });
  const id = await stack.submit('for i in $(seq 1 100); do echo line $i; sleep 0.2; done');
  await until('it runs', 60_000, async () => (await stack.job(id)).status === 'RUNNING');
  process.kill(stack.launcherPid, 'SIGKILL');
  await until(
    'the control plane notices',
    20_000,
    () => !stack.leftovers().some(one => one.command.includes('control-plane/dist')),
  );
  await stack.up();
  const job = await stack.ended(id, 150_000);
  expect(job.status).toBe('SUCCEEDED');
  expect((await stack.call('GET', `/v1/jobs/${id}`)).body.attempts).toHaveLength(1);
  await stack.stop();
});

test('`iocloud down` ends what a killed launcher has left, Ray included', async () => {
  const stack = await Stack.start({ home: newHome() });
  await stack.ended(await stack.submit('true'));
  process.kill(stack.launcherPid, 'SIGKILL');
  const { code } = await run(process.execPath, [join(repository, 'cli/bin/iocloud.js'), 'down'], {
    env: { ...(process.env as Record<string, string>), NODE_OPTIONS: '', IOCLOUD_HOME: stack.home },
  });
  expect(code).toBe(0);
  await until('nothing runs', 20_000, () => stack.leftovers().length === 0);
});
