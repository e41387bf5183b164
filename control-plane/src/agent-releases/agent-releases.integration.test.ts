import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  agentSubsystem,
  keyRotationNamespace,
  type NodeId,
  type ReleaseReport,
  releaseNamespace,
  releaseOffer,
  streamForwardPath,
} from '@iocloud/contracts';
import { firstLine, lines, newSshKeyPair, signSsh } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import ssh2 from 'ssh2';
import { authenticator } from '../accounts/index.js';
import { Trial } from '../clusters/testing/index.js';
import { setAgent } from '../inventory/agent-release.js';
import { Inventory, nodeRoutes } from '../inventory/index.js';
import { lostSince, silentSince } from '../inventory/silent-nodes.js';
import { Http, Signer } from '../platform/index.js';
import { callWith, newTenantKey, type TestKey } from '../test-ground.js';
import { due, end, reported, step } from './fleet.js';
import { ensureFirstKey } from './keys.js';
import { agentReleaseRoutes } from './routes.js';
import { Sender } from './sender.js';

jest.setTimeout(60_000);

const key = newSshKeyPair();
const archive = (version: string) => Buffer.from(`the archive of ${version}`);
const shaOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const signed = (version: string, serial: number, more: { floor?: number; by?: string } = {}) => {
  const manifest = `${JSON.stringify({ version, serial, floor: more.floor ?? 0, file: 'a.tgz', sha256: shaOf(archive(version)) })}\n`;
  const signature = signSsh(more.by ?? key.private, releaseNamespace, manifest);
  return { manifest, signature, archive: archive(version).toString('base64') };
};

let trial: Trial;
let http: Http;
let base: string;
let operator: TestKey;
let owner: TestKey;
let machines: NodeId[];

beforeAll(async () => {
  trial = await Trial.start();
  const { database } = trial;
  http = new Http(authenticator(database, new Signer('a secret of this test')), trial.ground.log);
  agentReleaseRoutes(http, database, randomBytes);
  nodeRoutes(http, database, trial.domain.leaseBook, randomBytes);
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  operator = await newTenantKey(database, { role: 'operator' });
  expect(await database.transaction(tx => ensureFirstKey(tx, key.public, 'key.pub'))).toBeNull();
  for (const [version, serial] of [
    ['1.0.0', 10],
    ['1.1.0', 20],
    ['1.2.0', 30],
  ] as const) {
    expect((await call('POST', '/v1/agent-releases', signed(version, serial))).status).toBe(201);
  }
});
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await trial?.stop();
});
/** A fleet of its own for each test: what others were about is over. */
beforeEach(async () => {
  const { database } = trial;
  await database.query('DELETE FROM agent_rollout_nodes');
  await database.query('DELETE FROM agent_rollouts');
  await database.query('UPDATE nodes SET agent = NULL, agent_serial = NULL');
  owner = await newTenantKey(database);
  machines = [];
  for (let count = 0; count < 5; count += 1) machines.push((await trial.machine(owner.tenantId)).nodeId);
  machines.sort();
  for (const nodeId of machines) await says(nodeId, '1.0.0', 10);
});

const call = (method: string, path: string, body?: unknown, as: TestKey = operator) =>
  callWith(as, method, base + path, body, { 'content-type': 'application/json' });

/** What an agent says of itself. */
async function says(nodeId: NodeId, version: string, serial: number, more: Partial<ReleaseReport> = {}): Promise<void> {
  const running = { version, serial, sha256: shaOf(archive(version)) };
  const report = { running, onTrial: false, previous: null, failed: null, ...more };
  await trial.database.transaction(async tx => {
    await setAgent(tx, nodeId, report, false);
    await reported(tx, nodeId, report);
  });
}
const newAttempt = () => randomBytes(8).toString('hex');
const turn = () => step(trial.database, newAttempt);
const begun = async () => (await due(trial.database)).map(({ nodeId }) => nodeId).sort();
const start = (body: object) => call('POST', '/v1/agent-rollouts', body);
const inForce = async () => (await call('GET', '/v1/agent-rollouts')).body.items[0];
const eventsOf = async (subject: string) => {
  const { rows } = await trial.database.query<{ reason: string; message: string }>(
    'SELECT reason, message FROM events WHERE subject = $1 ORDER BY sequence',
    [subject],
  );
  return rows;
};

describe('publishing', () => {
  test('takes what the key in force has signed, and the archive that it names, and nothing else', async () => {
    const other = newSshKeyPair();
    const publish = async (body: object) => {
      const { status, body: answer } = await call('POST', '/v1/agent-releases', body);
      return [status, answer.detail ?? answer.version];
    };
    expect(await publish(signed('1.0.0', 10))).toEqual([201, '1.0.0']);
    expect(await publish(signed('2.0.0', 40, { by: other.private }))).toEqual([
      422,
      expect.stringContaining('not signed'),
    ]);
    expect(await publish({ ...signed('2.0.0', 40), archive: archive('x').toString('base64') })).toEqual([
      422,
      expect.stringContaining('SHA-256'),
    ]);
    expect(await publish(signed('2.0.0', 40, { floor: 41 }))).toEqual([422, expect.stringContaining('floor 41')]);
    expect(await publish(signed('2.0.0', 30))).toEqual([409, expect.stringContaining('serial 30 is another release')]);
    expect(await publish(signed('1.2.0', 31))).toEqual([409, expect.stringContaining('another serial')]);
    expect(await publish({ ...signed('2.0.0', 40), manifest: 'no JSON' })).toEqual([422, expect.anything()]);
    const { body } = await call('GET', '/v1/agent-releases');
    expect(body.items.map(({ serial, nodes }: { serial: number; nodes: number }) => [serial, nodes])).toEqual([
      [30, 0],
      [20, 0],
      [10, 5],
    ]);
  });

  test('and all the rest is for operators', async () => {
    for (const [method, path, body] of [
      ['GET', '/v1/agent-releases', undefined],
      ['POST', '/v1/agent-releases', signed('9.0.0', 90)],
      ['POST', '/v1/agent-rollouts', { version: '1.1.0' }],
      ['GET', '/v1/agent-rollouts', undefined],
    ] as const) {
      expect([path, (await call(method, path, body, owner)).status]).toEqual([path, 403]);
    }
  });
});

describe('a roll-out', () => {
  test('goes from its canary to ever more machines, however many replicas look at it at a time', async () => {
    expect((await start({ version: '1.1.0', batchPercent: 60 })).status).toBe(201);
    await Promise.all([turn(), turn(), turn()]);
    const [canary = machines[0]] = await begun();
    expect(await begun()).toEqual([machines[0]]);
    expect(await turn()).toBe(false);
    await says(canary as NodeId, '1.1.0', 20, { onTrial: true });
    expect(await turn()).toBe(false);
    await says(canary as NodeId, '1.1.0', 20);
    const waves: number[] = [];
    while (await turn()) {
      waves.push((await begun()).length);
      for (const nodeId of await begun()) await says(nodeId, '1.1.0', 20);
    }
    expect(waves).toEqual([1, 2, 1]);
    expect(await inForce()).toMatchObject({ phase: 'running', healthy: 5, waiting: 0, trying: 0, failed: 0 });
    expect(await eventsOf(canary as string)).toContainEqual(expect.objectContaining({ reason: 'AgentUpgraded' }));
  });

  test('stops by itself when its canary has gone back, says why, and goes on when somebody says so', async () => {
    const { body: rollout } = await start({ version: '1.1.0' });
    await turn();
    const [given] = await due(trial.database);
    const failed = { attempt: given?.attempt ?? '', reason: 'it ended 3 times' };
    await says(given?.nodeId as NodeId, '1.0.0', 10, { failed: { attempt: 'of another time', reason: 'x' } });
    expect(await inForce()).toMatchObject({ trying: 1 });
    await says(given?.nodeId as NodeId, '1.0.0', 10, { failed });
    expect(await turn()).toBe(true);
    expect(await inForce()).toMatchObject({
      phase: 'halted',
      failed: 1,
      reason: expect.stringContaining('1 of 1 machines failed'),
    });
    expect(await turn()).toBe(false);
    expect(await eventsOf(operator.userId)).toContainEqual(expect.objectContaining({ reason: 'AgentRolloutHalted' }));
    const { body: nodes } = await call('GET', `/v1/agent-rollouts/${rollout.id}/nodes`);
    expect(nodes.items).toMatchObject([
      { nodeId: given?.nodeId, state: 'failed', reason: 'it ended 3 times', fromVersion: '1.0.0' },
    ]);
    expect((await call('GET', `/v1/nodes/${given?.nodeId}`, undefined, owner)).body.agent).toMatchObject({
      lastFailure: 'it ended 3 times',
    });
    expect((await call('POST', `/v1/agent-rollouts/${rollout.id}/resume`)).body).toMatchObject({
      phase: 'running',
      failed: 0,
    });
    await turn();
    expect(await begun()).toEqual([given?.nodeId]);
  });

  test('passes over a machine that its owner holds, and one that is away', async () => {
    const [held, away] = machines as [NodeId, NodeId];
    const reason = { reason: 'a long run' };
    expect((await call('PUT', `/v1/nodes/${held}/agent-hold`, reason, owner)).body.agent).toMatchObject({
      hold: 'a long run',
    });
    expect((await call('PUT', `/v1/nodes/${held}/agent-hold`, reason, await newTenantKey(trial.database))).status).toBe(
      404,
    );
    await trial.database.query('UPDATE nodes SET online = false WHERE id = $1', [away]);
    await start({ version: '1.1.0', canaries: 5, batchPercent: 100 });
    await turn();
    expect(await begun()).toEqual(machines.slice(2));
    expect(await inForce()).toMatchObject({ held: 1, offline: 1, trying: 3 });
    // Their turn comes.
    for (const nodeId of machines.slice(2)) await says(nodeId, '1.1.0', 20);
    await call('DELETE', `/v1/nodes/${held}/agent-hold`, undefined, owner);
    await turn();
    expect(await begun()).toEqual([held]);
  });

  test('that is paused gives nothing to anybody any more; another takes its place only when nothing is under way', async () => {
    const { body: rollout } = await start({ version: '1.1.0' });
    await turn();
    const refused = await start({ version: '1.2.0' });
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      expect.stringContaining('1 machines are just changing to 1.1.0'),
    ]);
    expect((await call('POST', `/v1/agent-rollouts/${rollout.id}/pause`)).body).toMatchObject({
      phase: 'paused',
      trying: 0,
      waiting: 5,
    });
    expect([await turn(), await begun()]).toEqual([false, []]);
    expect((await start({ version: '1.2.0', paused: true })).status).toBe(201);
    const late = await call('POST', `/v1/agent-rollouts/${rollout.id}/resume`);
    expect([late.status, late.body.detail]).toEqual([409, expect.stringContaining('not in force any more')]);
    expect((await start({ version: '7.7.7' })).status).toBe(404);
  });

  test('is taken back to what its machines ran before, on those machines alone, all at once', async () => {
    const { body: rollout } = await start({ version: '1.1.0', canaries: 2, batchPercent: 40 });
    expect((await call('POST', `/v1/agent-rollouts/${rollout.id}/roll-back`)).status).toBe(409);
    await turn();
    const upgraded = await begun();
    for (const nodeId of upgraded) await says(nodeId, '1.1.0', 20);
    const { body: back } = await call('POST', `/v1/agent-rollouts/${rollout.id}/roll-back`);
    expect(back).toMatchObject({ version: '1.0.0', rollsBack: rollout.id, waiting: 2 });
    await turn();
    expect(await begun()).toEqual(upgraded);
  });
});

test('a machine whose agent changes counts as lost so much later, until each fence that it was granted has run out', async () => {
  const { database } = trial;
  await start({ version: '1.1.0', healthySeconds: 90 });
  await turn();
  const [given] = await due(database);
  const nodeId = given?.nodeId as NodeId;
  expect(given?.graceSeconds).toBe(120);
  const silentFor = (seconds: number) =>
    database.query(
      `WITH node AS (
         UPDATE nodes SET last_heartbeat_at = now() - make_interval(secs => $2) WHERE id = $1 RETURNING id, last_heartbeat_at)
       INSERT INTO node_heartbeats (node_id, at) SELECT * FROM node ON CONFLICT (node_id) DO UPDATE SET at = excluded.at`,
      [nodeId, seconds],
    );
  const seen = async () => [
    (await silentSince(database, 13)).includes(nodeId),
    (await lostSince(database, 13)).includes(nodeId),
  ];
  await silentFor(100);
  expect(await seen()).toEqual([true, false]);
  await silentFor(134);
  expect(await seen()).toEqual([true, true]);
  await silentFor(100);
  await database.transaction(tx => end(tx, given?.rolloutId as never, nodeId, 'failed', 'it went back'));
  expect(await seen()).toEqual([true, false]);
  const overSince = (seconds: number) =>
    database.query('UPDATE nodes SET fence_grace_over_at = now() - make_interval(secs => $2) WHERE id = $1', [
      nodeId,
      seconds,
    ]);
  await overSince(190);
  expect(await seen()).toEqual([true, false]);
  await overSince(194);
  expect(await seen()).toEqual([true, true]);
});

test('the key is passed on by its own signature alone, and releases count only if the new one has signed them', async () => {
  const { database } = trial;
  const next = newSshKeyPair('next');
  const rotate = (by: string) =>
    call('POST', '/v1/agent-release-keys', {
      publicKey: next.public,
      signature: signSsh(by, keyRotationNamespace, next.public),
    });
  expect((await rotate(next.private)).status).toBe(422);
  try {
    expect((await rotate(key.private)).status).toBe(201);
    expect((await rotate(key.private)).status).toBe(422);
    expect((await call('POST', '/v1/agent-releases', signed('1.0.0', 10))).status).toBe(422);
    expect((await call('POST', '/v1/agent-releases', signed('1.0.0', 10, { by: next.private }))).status).toBe(201);
    // A start with the file of the key before is told so, and changes nothing.
    expect(await database.transaction(tx => ensureFirstKey(tx, key.public, 'key.pub'))).toContain(
      'not the release key in force',
    );
    expect((await call('GET', '/v1/agent-release-keys')).body.items).toHaveLength(2);
  } finally {
    await database.query('DELETE FROM agent_release_keys WHERE position > 1');
  }
});

test('an agent of another protocol is given its release before it is sent away', async () => {
  const { database, ground } = trial;
  const [nodeId] = machines as [NodeId];
  const device = newSshKeyPair();
  await database.query('UPDATE nodes SET public_key = $2, online = false WHERE id = $1', [nodeId, device.public]);
  const sender = new Sender(database, () => Promise.reject(new Error('it is not online')), 13, ground.log);
  const inventory = new Inventory({
    database,
    leaseBook: trial.domain.leaseBook,
    mesh: trial.mesh,
    releases: { reported, graceSeconds: () => 0, beforeRefusal: (id, open) => sender.sendTo(id, open) },
    log: ground.log.child({}, { level: 'silent' }),
    ssh: { host: '127.0.0.1', port: 0, hostKey: Buffer.from(newSshKeyPair().private) },
    nodeLostSeconds: 13,
    telemetryHours: 6,
  });
  const port = await inventory.listen();
  /** Says hello in a protocol of the past; returns what it is told, and what archive it got. */
  const visit = async () => {
    const client = new ssh2.Client();
    client.on('error', () => undefined);
    const gone = once(client, 'close');
    client.connect({ host: '127.0.0.1', port, username: nodeId, privateKey: device.private, strictVendor: false });
    await once(client, 'ready');
    const got: Buffer[] = [];
    client.on('unix connection', (_info, accept) => void take(accept()));
    const take = async (stream: Duplex) => {
      const offer = releaseOffer.parse(JSON.parse(await firstLine(stream, 65_536, 5_000)));
      stream.write(`${JSON.stringify({ ok: true })}\n`);
      for (let left = offer.bytes; left > 0; ) {
        const [chunk] = (await once(stream, 'data')) as [Buffer];
        got.push(chunk);
        left -= chunk.length;
      }
      stream.end(`${JSON.stringify({ switches: true, reason: '' })}\n`);
    };
    await new Promise<void>((resolve, reject) =>
      client.openssh_forwardInStreamLocal(streamForwardPath, error => (error ? reject(error) : resolve())),
    );
    const control = await new Promise<Duplex>((resolve, reject) =>
      client.subsys(agentSubsystem, (error, channel) => (error ? reject(error) : resolve(channel))),
    );
    const { inventory: seen } =
      (await database.query<{ inventory: object }>('SELECT inventory FROM nodes WHERE id = $1', [nodeId])).rows[0] ??
      {};
    const running = { version: '1.0.0', serial: 10, sha256: shaOf(archive('1.0.0')) };
    const release = { running, onTrial: false, previous: null, failed: null };
    control.write(
      `${JSON.stringify({ type: 'hello', protocol: 1, agentVersion: '1.0.0', nodeId, inventory: seen, release })}\n`,
    );
    const told: string[] = [];
    for await (const line of lines(control, 65_536)) told.push(JSON.parse(line).reason);
    await gone;
    return { told, got: Buffer.concat(got).toString() };
  };
  try {
    expect((await visit()).told).toEqual([expect.stringContaining('upgrade the agent')]);
    await start({ version: '1.1.0' });
    await turn();
    expect(await begun()).toEqual([nodeId]);
    expect(await visit()).toEqual({
      told: [expect.stringContaining('upgrade the agent')],
      got: 'the archive of 1.1.0',
    });
    expect(await begun()).toEqual([]);
  } finally {
    await inventory.stop();
  }
});
