/** The rate of IO from a real server, a real file, and what happens when they lie, hang or go. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Ground, startGround } from '../../test-ground.js';
import { ioRate, look, type Oracle, type SourceConfig, sourceOf, usableRate } from './index.js';

let ground: Ground;
let directory: string;
let answer: (response: ServerResponse) => void;
let nowMs = Date.parse('2027-01-01T00:00:00Z');
const server = createServer((_request, response) => answer(response));
let oracle: Oracle;
const said =
  (value: unknown, status = 200) =>
  (response: ServerResponse) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

beforeAll(async () => {
  ground = await startGround();
  directory = await mkdtemp(join(tmpdir(), 'iocloud-rate-'));
  await new Promise<void>(ready => server.listen(0, '127.0.0.1', ready));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-key`;
  const configs: SourceConfig[] = [
    { kind: 'fixed', name: 'fixed', usdPerIo: '0.15' },
    { kind: 'file', name: 'file', path: join(directory, 'rate.json') },
    { kind: 'http', name: 'web', url, price: '/data/0/usd', at: '/at', timeoutMs: 300 },
  ];
  oracle = {
    sources: configs.map(config => sourceOf(config, () => nowMs)),
    guards: { minSources: 2, maxAgeMs: 900_000, maxDeviationPpm: 20_000 },
    nowMs: () => nowMs,
  };
}, 60_000);
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
  await ground?.stop();
});
beforeEach(async () => {
  await ground.database.query('DELETE FROM io_rate');
  nowMs = Date.parse('2027-01-01T00:00:00Z');
  answer = said({ data: [{ usd: 0.152 }], at: nowMs / 1_000 });
  await writeFile(join(directory, 'rate.json'), '{"usdPerIo": "0.151"}');
});

async function shown() {
  expect(await look(ground.database, oracle)).toBe(true);
  return ioRate(ground.database, oracle);
}
const verdictOf = (rate: Awaited<ReturnType<typeof shown>>, name: string) =>
  rate.sources.find(source => source.name === name);

test('the median of all sources is the rate', async () => {
  expect(await ioRate(ground.database, oracle)).toMatchObject({
    usable: false,
    refusal: 'no source has been asked yet',
  });
  const rate = await shown();
  expect(rate).toMatchObject({ usdPerIo: '0.151', ageSeconds: 0, usable: true, refusal: null });
  expect(usableRate(rate)).toBe(151_000_000_000_000_000n);
});

test.each<[string, (response: ServerResponse) => void, string]>([
  ['hangs', () => undefined, 'no answer within 300 ms'],
  ['fails', said({}, 500), 'status 500'],
  ['says something else', said({ data: [] }), 'nothing at /data/0/usd'],
  ['says no number', said({ data: [{ usd: 'dear' }], at: 0 }), 'no rate'],
  ['says no JSON', response => response.end('<html>'), 'no JSON'],
  [
    'leads elsewhere',
    response => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'cannot be reached',
  ],
  ['says too much', response => response.end('x'.repeat(100_000)), 'longer than'],
  ['breaks off', response => response.socket?.destroy(), 'cannot be reached'],
])('a server that %s is left out, said why, and its address is told to nobody', async (_name, behaviour, why) => {
  answer = behaviour;
  const rate = await shown();
  expect(rate).toMatchObject({ usdPerIo: '0.1505', usable: true });
  expect(verdictOf(rate, 'web')).toMatchObject({ verdict: 'failed', reason: expect.stringContaining(why) });
  expect(JSON.stringify(rate)).not.toContain('secret-key');
});

test('a source that deviates, and one that is old, are named', async () => {
  answer = said({ data: [{ usd: '0.5' }], at: '2027-01-01T00:00:00Z' });
  expect(verdictOf(await shown(), 'web')).toMatchObject({ verdict: 'deviates', usdPerIo: '0.5' });
  answer = said({ data: [{ usd: '0.15' }], at: '2026-12-31T00:00:00Z' });
  expect(verdictOf(await shown(), 'web')).toMatchObject({ verdict: 'stale' });
});

test('without agreement the last good value stands with its age, until it is too old', async () => {
  await shown();
  answer = said({}, 500);
  await rm(join(directory, 'rate.json'));
  nowMs += 600_000;
  const rate = await shown();
  expect(rate).toMatchObject({ usdPerIo: '0.151', ageSeconds: 600, usable: true });
  expect(rate.refusal).toBe('1 of 1 fresh sources agree; 2 are needed, and more than half');
  expect(verdictOf(rate, 'file')).toMatchObject({ verdict: 'failed', reason: 'there is no such file' });
  nowMs += 301_000;
  const later = await shown();
  expect(later).toMatchObject({ usdPerIo: '0.151', ageSeconds: 901, usable: false });
  expect(usableRate(later)).toBeNull();
});
