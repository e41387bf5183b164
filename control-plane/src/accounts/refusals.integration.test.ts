import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newId, type Refusal } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Trial } from '../clusters/testing/index.js';
import { type Caller, Http, type RefusedCall, Signer } from '../platform/index.js';
import { newTenantKey, type TestKey } from '../test-ground.js';
import { authenticator, Refusals, refusalRoutes } from './index.js';

let trial: Trial;
let http: Http;
let base: string;
let owner: TestKey;
let stranger: TestKey;
let nodeId: string;
let nowMs = 1_800_000_000_000;
let refusals: Refusals;

beforeAll(async () => {
  trial = await Trial.start();
  http = new Http(authenticator(trial.database, new Signer('a secret of this test')), trial.ground.log);
  refusalRoutes(http, trial.database);
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await trial?.stop();
});
beforeEach(async () => {
  owner = await newTenantKey(trial.database);
  stranger = await newTenantKey(trial.database);
  nodeId = (await trial.machine(owner.tenantId)).nodeId;
  nowMs += 60_000;
  refusals = new Refusals(trial.database, trial.ground.log, () => nowMs, 30);
});

const callerOf = ({ tenantId, userId, keyId }: TestKey): Caller => ({
  tenantId,
  userId,
  keyId,
  permissions: new Set(),
});
const call = (changes: Partial<RefusedCall> & { authorization?: string; address?: string }): RefusedCall => ({
  operation: 'changeNodeTerms',
  method: 'PATCH',
  target: nodeId,
  code: 'not-found',
  caller: null,
  request: {
    headers: { authorization: changes.authorization },
    socket: { remoteAddress: changes.address ?? '192.0.2.7' },
  } as unknown as IncomingMessage,
  ...changes,
});

async function shownTo(key: TestKey): Promise<Omit<Refusal, 'id' | 'at'>[]> {
  const response = await fetch(`${base}/v1/audit/refusals`, { headers: { Authorization: `Bearer ${key.apiKey}` } });
  const { items } = (await response.json()) as { items: Refusal[] };
  return items.map(({ id: _id, at: _at, ...rest }) => rest);
}

const toldOf = async (subject: string) =>
  (
    await trial.database.query('SELECT tenant_id, message FROM events WHERE subject = $1 AND reason = $2', [
      subject,
      'AccessRefused',
    ])
  ).rows;

test("one who tries another's machine is seen by both, and its owner is told once a minute", async () => {
  for (let time = 0; time < 3; time += 1) refusals.note(call({ caller: callerOf(stranger) }));
  await refusals.flush();
  refusals.note(call({ caller: callerOf(stranger) }));
  await refusals.flush();
  const common = { operation: 'changeNodeTerms', target: nodeId, outcome: 'not-found', count: 4, address: '192.0.2.7' };
  expect(await shownTo(owner)).toEqual([{ ...common, by: 'others', keyId: null }]);
  expect(await shownTo(stranger)).toEqual([{ ...common, by: 'ours', keyId: stranger.keyId }]);
  expect(await toldOf(nodeId)).toEqual([
    { tenant_id: owner.tenantId, message: expect.stringContaining('changeNodeTerms was tried from 192.0.2.7') },
  ]);
  nowMs += 60_000;
  refusals.note(call({ caller: callerOf(stranger) }));
  await refusals.flush();
  expect(await toldOf(nodeId)).toHaveLength(2);
});

test('a key with a wrong secret is named by its id to its owner alone, and its text is nowhere', async () => {
  const forged = `${owner.apiKey.slice(0, -1)}${owner.apiKey.endsWith('A') ? 'B' : 'A'}`;
  refusals.note(call({ code: 'unauthenticated', authorization: `Bearer ${forged}` }));
  refusals.noteAgent(nodeId, '192.0.2.9');
  await refusals.flush();
  const shown = await shownTo(owner);
  expect(shown).toHaveLength(2);
  expect(shown).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ operation: 'agent-connection', by: 'unknown', keyId: null, address: '192.0.2.9' }),
      expect.objectContaining({ outcome: 'unauthenticated', by: 'ours', keyId: owner.keyId }),
    ]),
  );
  expect(await shownTo(stranger)).toEqual([]);
  const { rows } = await trial.database.query('SELECT r::text AS row FROM refused_calls r');
  expect(JSON.stringify(rows)).not.toContain(forged.slice(-43));
});

test('what is mistyped, and what is not there, is no attack', async () => {
  const caller = callerOf(stranger);
  refusals.note(call({ caller, method: 'GET' }));
  refusals.note(call({ caller, target: 'my-job' }));
  refusals.note(call({ caller, target: newId('node', randomBytes) }));
  refusals.note(call({ caller: callerOf(owner) }));
  refusals.note(call({ caller, code: 'bad-request' }));
  await refusals.flush();
  expect(await shownTo(stranger)).toEqual([]);
  expect(await shownTo(owner)).toEqual([]);
  expect(await toldOf(nodeId)).toEqual([]);
});

test('who is refused again and again fills no database', async () => {
  const before = await rowsIn();
  for (let index = 0; index < 20_000; index += 1) {
    refusals.note(
      call({ code: 'unauthenticated', target: newId('node', randomBytes), authorization: `Bearer ioc_${index}` }),
    );
  }
  await refusals.flush();
  expect((await rowsIn()) - before).toBe(1);
  for (let index = 0; index < 20_000; index += 1) {
    refusals.note(call({ code: 'unauthenticated', address: `2001:db8::${index.toString(16)}` }));
    if (index % 100 === 0) await refusals.flush();
  }
  await refusals.flush();
  expect((await rowsIn()) - before).toBeLessThan(1_100);
});

test('what is older than it shall be kept is forgotten, and nothing else', async () => {
  refusals.note(call({ caller: callerOf(stranger) }));
  await refusals.flush();
  await trial.database.query("UPDATE refused_calls SET minute = now() - interval '29 days' WHERE target = $1", [
    nodeId,
  ]);
  await trial.database.query(
    `INSERT INTO refused_calls (minute, operation, target, key_id, address, outcome, count)
     SELECT now() - interval '31 days', 'x', '', '', '192.0.2.' || n, 'unauthenticated', 1 FROM generate_series(1, 20001) n`,
  );
  refusals.start();
  const old = async () =>
    (await trial.database.query("SELECT 1 FROM refused_calls WHERE minute < now() - interval '30 days' LIMIT 1")).rows;
  for (const deadline = Date.now() + 20_000; (await old()).length > 0 && Date.now() < deadline; ) {
    await new Promise(wake => setTimeout(wake, 50));
  }
  await refusals.stop();
  expect(await old()).toEqual([]);
  expect(await shownTo(owner)).toHaveLength(1);
});

const rowsIn = async () =>
  (await trial.database.query<{ rows: number }>('SELECT count(*)::int AS rows FROM refused_calls')).rows[0]?.rows ?? 0;
