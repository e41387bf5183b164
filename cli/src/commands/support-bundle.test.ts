/** Secrets are planted wherever a bundle takes from, and none of them is in it. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { Command } from 'commander';
import { supportBundleCommand } from './support-bundle.js';

jest.setTimeout(60_000);

const secret = () => randomBytes(24).toString('base64url');
const planted = {
  apiKey: `ioc_${'a'.repeat(20)}_${randomBytes(32).toString('base64url')}`,
  databasePassword: secret(),
  environmentPassword: secret(),
  wallet: JSON.stringify([...randomBytes(64)]),
  rayToken: secret(),
  bearer: secret(),
  sealKey: randomBytes(32).toString('hex'),
  redisPassword: secret(),
  pem: `-----BEGIN OPENSSH PRIVATE KEY-----\n${randomBytes(60).toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`,
};
const log = [
  `{"level":"warn","msg":"cannot connect to postgres://iocloud:${planted.databasePassword}@db:5432/iocloud"}`,
  `{"level":"info","authToken":"${planted.rayToken}","msg":"a head starts"}`,
  `Authorization: Bearer ${planted.bearer}`,
  `wallet ${planted.wallet} and key ${planted.apiKey}`,
  `${planted.sealKey} was read from a file, ${planted.redisPassword} too, ${planted.environmentPassword} from here`,
  planted.pem,
  '{"level":"info","msg":"an ordinary line stays"}',
].join('\n');

const directory = mkdtempSync(path.join(tmpdir(), 'iocloud-bundle-test-'));
const report = {
  at: new Date().toISOString(),
  version: '1.2.3',
  runtime: { node: 'v20', platform: 'linux', arch: 'x64', uptimeSeconds: 1 },
  configuration: { databaseUrl: `postgres://iocloud:${planted.databasePassword}@db/iocloud` },
  health: { database: true },
  loops: {},
  migrations: [],
  events: [{ reason: 'JobFailed', subject: planted.apiKey }],
  metrics: 'iocloud_jobs 1\n',
};
const server = createServer((_request, response) =>
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(report)),
);
beforeAll(async () => {
  mkdirSync(path.join(directory, 'secrets'));
  mkdirSync(path.join(directory, 'logs'));
  writeFileSync(path.join(directory, 'secrets', 'seal-key'), Buffer.from(planted.sealKey, 'hex'));
  writeFileSync(path.join(directory, 'secrets', 'redis-password'), `${planted.redisPassword}\n`);
  writeFileSync(path.join(directory, 'logs', 'control-plane.log'), `${log}\n`);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true, force: true });
});

async function bundle(address: string, output: string): Promise<number> {
  let exit = 0;
  const terminal = {
    environment: {
      HOME: directory,
      IOCLOUD_API_KEY: planted.apiKey,
      DATABASE_URL: `postgres://u:${planted.environmentPassword}@localhost/x`,
    },
    now: () => Date.now(),
    pause: async () => undefined,
    out: () => undefined,
    err: () => undefined,
    setExitCode: (code: number) => {
      exit = code;
    },
  };
  const program = new Command();
  supportBundleCommand(program, terminal as never);
  const args = ['support-bundle', '--address', address, '--home', directory, '--output', output, '--json'];
  await program.parseAsync(args, { from: 'user' });
  return exit;
}

const read = (file: string) => execFileSync('tar', ['-xzOf', file], { encoding: 'utf8' });

test('none of the planted secrets is in the bundle, and what is none is', async () => {
  const output = path.join(directory, 'bundle.tar.gz');
  expect(await bundle(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, output)).toBe(0);
  expect(statSync(output).mode & 0o777).toBe(0o600);
  const text = read(output);
  for (const [name, value] of Object.entries(planted)) {
    for (const line of value.split('\n').filter(one => !one.startsWith('-----'))) {
      expect([name, text.includes(line)]).toEqual([name, false]);
    }
  }
  expect(text).toContain('an ordinary line stays');
  expect(text).toContain('iocloud_jobs 1');
  expect(text).toContain('JobFailed');
  // The test can fail: it was all there before.
  const before = readFileSync(path.join(directory, 'logs', 'control-plane.log'), 'utf8');
  expect(before).toContain(planted.rayToken);
});

test('a control plane that does not answer is said in it, and by the exit code', async () => {
  const output = path.join(directory, 'unreached.tar.gz');
  expect(await bundle('http://127.0.0.1:1', output)).not.toBe(0);
  expect(read(output)).toContain('an ordinary line stays');
  expect(execFileSync('tar', ['-tzf', output], { encoding: 'utf8' })).toContain('control-plane-error.txt');
});
