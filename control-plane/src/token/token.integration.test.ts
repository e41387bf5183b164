/** Emission, rewards and stakes on a real database, over HTTP where tenants ask. */
import type { NodeId } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { readMachines } from '../inventory/store.js';
import type { TestKey } from '../test-ground.js';
import { emitNextHour } from './emission.js';
import { lastHour } from './hours.js';
import { newKey, TokenTrial } from './testing/index.js';

let trial: TokenTrial;
/** The next of the schedule. */
let hour: number;
beforeAll(async () => {
  trial = await TokenTrial.start({ multiplierPpm: { 'h100-sxm': 2_000_000 } });
});
beforeEach(async () => {
  await trial.ground.database.query('UPDATE nodes SET shared = false');
  hour = (await lastHour(trial.ground.database)) + 1;
  trial.at = trial.hour(hour);
});
afterEach(async () => expect(await trial.faults()).toEqual([]));
afterAll(() => trial?.stop());

const rewards = async (key: TestKey) => (await trial.call(key, 'GET', '/token/rewards')).body.items;
const emitted = async () => (await trial.call(trial.operator, 'GET', '/token/emission?limit=1')).body.items[0];
const machineHour = async (key: TestKey, nodeId: NodeId) =>
  (await trial.call(key, 'GET', `/token/machines/${nodeId}/hours?limit=1`)).body.items[0];

describe('an hour of emission', () => {
  test('is split to the unit over machine, third parties and referrer, by multiplier and time online', async () => {
    const [anna, ben, eve] = [await trial.tenant('1000'), await trial.tenant('200'), await trial.tenant()];
    const [cid, dora] = [await trial.tenant('100'), await trial.tenant('50')];
    const [hers, his] = [
      await trial.machine(anna.tenantId, ['h100', 'h100']),
      await trial.machine(ben.tenantId, ['a100']),
    ];
    const settings = { delegationPpm: 20_000, referrerId: eve.tenantId };
    expect((await trial.call(anna, 'PATCH', '/token/settings', settings)).body).toEqual(settings);
    for (const [key, node, amount] of [
      [anna, hers, '800'],
      [ben, his, '200'],
      [cid, hers, '100'],
      [dora, hers, '50'],
    ] as const) {
      expect((await trial.stake(key, node, amount)).status).toBe(201);
    }
    await trial.judged(hers, hour);
    await trial.judged(his, hour);
    // He goes 28 minutes and 20 seconds into the hour, and comes back when it is over.
    const away = new Date(trial.hour(hour).getTime() + 1_700_000);
    await trial.ground.database.query('UPDATE nodes SET online = false, last_heartbeat_at = $2 WHERE id = $1', [
      his,
      away,
    ]);
    await trial.sweepAfterHour(hour);

    expect(await emitted()).toEqual({
      hour: 1,
      begins: trial.hour(1).toISOString(),
      scheduled: '4566.21004566',
      minted: '4566.21004566',
      rounding: '0.00000001',
      machines: 2,
      eligible: 2,
      version: 1,
    });
    expect(await rewards(anna)).toMatchObject([{ hour: 1, kind: 'machine', nodeId: hers, amount: '3961.54173404' }]);
    expect(await rewards(cid)).toMatchObject([{ kind: 'delegation', nodeId: hers, amount: '54.45418190' }]);
    expect(await rewards(dora)).toMatchObject([{ kind: 'delegation', nodeId: hers, amount: '27.22709095' }]);
    expect(await rewards(eve)).toMatchObject([{ kind: 'referral', nodeId: null, amount: '40.84063643' }]);
    expect(await rewards(ben)).toMatchObject([{ kind: 'machine', nodeId: his, amount: '482.14640233' }]);
    expect(await trial.balances(anna)).toEqual({
      'available IO': '20000000000',
      'stake IO': '80000000000',
      'earnings IO': '396154173404',
    });
    expect(await machineHour(ben, his)).toMatchObject({
      onlineSeconds: 1_700,
      minimumStake: '200.00000000',
      refusal: '',
    });
    expect((await trial.call(ben, 'GET', `/token/machines/${hers}/hours`)).status).toBe(404);
  });

  test('happens once, whoever looks how often', async () => {
    const owner = await trial.tenant('200');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    await trial.stake(owner, nodeId, '200');
    await trial.judged(nodeId, hour);
    trial.at = new Date(trial.hour(hour + 1).getTime() + 600_000);
    const made = await Promise.all(Array.from({ length: 8 }, () => emitNextHour(trial.wiring)));
    expect(made.filter(Boolean)).toHaveLength(1);
    const after = await trial.balances(owner);
    expect(await emitNextHour(trial.wiring)).toBe(false);
    await trial.sweep();
    expect(await trial.balances(owner)).toEqual(after);
    expect(after['earnings IO']).toBe(String(trial.wiring.schedule.amount(hour)));
  });

  test('waits until its last proofs are judged, and those that were missed are made up for in their order', async () => {
    const owner = await trial.tenant('200');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    await trial.stake(owner, nodeId, '200');
    for (const missed of [hour, hour + 2]) await trial.judged(nodeId, missed);
    await trial.sweepAfterHour(hour, 599_999);
    expect(await lastHour(trial.ground.database)).toBe(hour - 1);
    await trial.sweepAfterHour(hour + 2);
    expect(await lastHour(trial.ground.database)).toBe(hour + 2);
    expect((await rewards(owner)).map((reward: { hour: number }) => reward.hour)).toEqual([hour + 2, hour]);
  });

  test('that nobody is eligible in is never minted', async () => {
    const before = (await trial.call(trial.operator, 'GET', '/token')).body;
    await trial.sweepAfterHour(hour);
    expect(await emitted()).toMatchObject({ hour, minted: '0.00000000', eligible: 0 });
    const { minted, supply, scheduled } = (await trial.call(trial.operator, 'GET', '/token')).body;
    expect([minted, supply]).toEqual([before.minted, before.supply]);
    expect(Number(scheduled)).toBeGreaterThan(Number(before.scheduled));
  });
});

describe('a machine gets nothing', () => {
  const refused = async (prepare: (owner: TestKey, nodeId: NodeId) => Promise<unknown>) => {
    const owner = await trial.tenant('500');
    const nodeId = await trial.machine(owner.tenantId, ['a100', 'a100']);
    await prepare(owner, nodeId);
    await trial.sweepAfterHour(hour);
    expect(await rewards(owner)).toEqual([]);
    return (await machineHour(owner, nodeId)).refusal;
  };

  test('without a proof of this hour', async () => {
    expect(
      await refused(async (owner, nodeId) => {
        await trial.stake(owner, nodeId, '400');
        await trial.judged(nodeId, hour + 1);
        await trial.judged(nodeId, hour, 'missed');
      }),
    ).toMatch('has proven');
  });

  test('below its least stake, by a unit', async () => {
    expect(
      await refused(async (owner, nodeId) => {
        await trial.stake(owner, nodeId, '399.99999999');
        await trial.judged(nodeId, hour);
      }),
    ).toMatch('below the least');
  });

  test('for stake that came in the middle of the hour', async () => {
    expect(
      await refused(async (owner, nodeId) => {
        await trial.stake(owner, nodeId, '400');
        await trial.judged(nodeId, hour);
        // What is on record of stake is of the real clock, hours before: this hour is made to begin before it.
        await trial.ground.database.query('ALTER TABLE token_stake_history DISABLE TRIGGER token_stake_history_keep');
        await trial.ground.database.query('UPDATE token_stake_history SET at = $2 WHERE node_id = $1', [
          nodeId,
          new Date(trial.hour(hour).getTime() + 1),
        ]);
        await trial.ground.database.query('ALTER TABLE token_stake_history ENABLE TRIGGER token_stake_history_keep');
      }),
    ).toMatch('below the least');
  });

  test('while it is away', async () => {
    expect(
      await refused(async (owner, nodeId) => {
        await trial.stake(owner, nodeId, '400');
        await trial.judged(nodeId, hour);
        await trial.ground.database.query(`UPDATE node_heartbeats SET at = $2 WHERE node_id = $1`, [
          nodeId,
          trial.hour(hour),
        ]);
      }),
    ).toMatch('not online');
  });
});

test('a leased accelerator counts by its last proof of a day; one that also failed in the hour does not', async () => {
  const owner = await trial.tenant('600');
  const nodeId = await trial.machine(owner.tenantId, ['a100', 'a100', 'a100']);
  await trial.stake(owner, nodeId, '600');
  await trial.judged(nodeId, hour - 3, 'passed', ['GPU-0']);
  await trial.judged(nodeId, hour, 'leased', ['GPU-0', 'GPU-1']);
  await trial.judged(nodeId, hour, 'passed', ['GPU-2']);
  await trial.judged(nodeId, hour, 'failed', ['GPU-2']);
  await trial.sweepAfterHour(hour);
  expect((await machineHour(owner, nodeId)).devices.map(({ verified }: { verified: boolean }) => verified)).toEqual([
    true,
    false,
    false,
  ]);
});

describe('stake', () => {
  test('cools down for 14 days without rewards, and nothing brings it back sooner', async () => {
    const owner = await trial.tenant('200');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    await trial.stake(owner, nodeId, '200');
    const { body, status } = await trial.unstake(owner, nodeId, '150');
    expect([status, body.state]).toEqual([201, 'cooling']);
    expect(Date.parse(body.releaseAt) - Date.parse(body.requestedAt)).toBe(14 * 86_400_000);
    expect(await trial.balances(owner)).toEqual({ 'stake IO': '5000000000', 'unstaking IO': '15000000000' });
    expect((await trial.stake(owner, nodeId, '150')).status).toBe(409);
    await trial.judged(nodeId, hour);
    await trial.sweepAfterHour(hour);
    expect(await rewards(owner)).toEqual([]);
    trial.at = new Date(Date.parse(body.releaseAt) - 1);
    const wiring = { ...trial.wiring, genesis: null };
    const { releaseCooled } = await import('./stakes.js');
    expect(await releaseCooled(wiring)).toBe(false);
    trial.at = new Date(Date.parse(body.releaseAt));
    expect(await releaseCooled(wiring)).toBe(true);
    expect(await releaseCooled(wiring)).toBe(false);
    expect(await trial.balances(owner)).toEqual({ 'stake IO': '5000000000', 'available IO': '15000000000' });
    expect((await trial.call(owner, 'GET', '/token/unstakings')).body.items).toMatchObject([{ state: 'released' }]);
  });

  test('with the same key is one stake; with a new one two; never more than there is', async () => {
    const owner = await trial.tenant('100');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    const key = newKey();
    const first = await trial.stake(owner, nodeId, '60', key);
    expect(await trial.stake(owner, nodeId, '60', key)).toEqual(first);
    expect(first.body).toEqual({
      nodeId,
      role: 'own',
      amount: '60.00000000',
      machineStake: '60.00000000',
      minimumStake: '200.00000000',
    });
    expect(await trial.stake(owner, nodeId, '60')).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('less than 60') },
    });
    expect((await trial.unstake(owner, nodeId, '60.00000001')).status).toBe(409);
    expect((await trial.call(owner, 'POST', '/token/stakes', { nodeId, amount: '1' })).status).toBe(400);
    expect(await trial.balances(owner)).toEqual({ 'available IO': '4000000000', 'stake IO': '6000000000' });
  });

  test('comes from earnings, too', async () => {
    const owner = await trial.tenant('200');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    await trial.stake(owner, nodeId, '200');
    await trial.judged(nodeId, hour);
    await trial.sweepAfterHour(hour);
    const body = { nodeId, amount: '4000', from: 'earnings' };
    expect((await trial.call(owner, 'POST', '/token/stakes', body, newKey())).body.amount).toBe('4200.00000000');
  });

  test('of 16 callers at once that have enough for five is five', async () => {
    const owner = await trial.tenant('5');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    const answers = await Promise.all(Array.from({ length: 16 }, () => trial.stake(owner, nodeId, '1')));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(5).fill(201), ...Array(11).fill(409)]);
    expect(await trial.balances(owner)).toEqual({ 'stake IO': '500000000' });
  });

  test('of third parties is taken only where the supplier takes it, at a part within the bounds', async () => {
    const [owner, other] = [await trial.tenant(), await trial.tenant('10')];
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    const closed = await trial.stake(other, nodeId, '10');
    const unknown = await trial.stake(other, 'nd_00000000000000000000' as NodeId, '10');
    expect([closed.status, unknown.status]).toEqual([404, 404]);
    for (const delegationPpm of [9_999, 30_001]) {
      expect((await trial.call(owner, 'PATCH', '/token/settings', { delegationPpm })).status).toBe(400);
    }
    await trial.call(owner, 'PATCH', '/token/settings', { delegationPpm: 30_000 });
    expect((await trial.stake(other, nodeId, '10')).body).toMatchObject({ role: 'delegated', machineStake: null });
    expect((await trial.call(owner, 'GET', '/token/stakes')).body.items).toMatchObject([
      { role: 'received', amount: '10.00000000' },
    ]);
    expect(JSON.stringify((await trial.call(owner, 'GET', '/token/stakes')).body)).not.toContain(other.tenantId);
    expect((await trial.unstake(owner, nodeId, '10')).status).toBe(409);
  });

  test('makes placement prefer a machine, at once, as far as it covers what is due', async () => {
    const owner = await trial.tenant('200');
    const nodeId = await trial.machine(owner.tenantId, ['a100']);
    const share = async () => (await readMachines(trial.ground.database, [nodeId]))[0]?.stake;
    expect(await share()).toBe(0);
    await trial.ground.database.query('DELETE FROM machine_changes');
    await trial.stake(owner, nodeId, '50');
    expect(await share()).toBe(0.25);
    const { rows } = await trial.ground.database.query('SELECT node_id FROM machine_changes');
    expect(rows).toEqual([{ node_id: nodeId }]);
    await trial.stake(owner, nodeId, '150');
    expect(await share()).toBe(1);
  });
});

test('who referred a supplier is said once, and is somebody else that exists', async () => {
  const [owner, friend, other] = [await trial.tenant(), await trial.tenant(), await trial.tenant()];
  const refer = (referrerId: string) => trial.call(owner, 'PATCH', '/token/settings', { referrerId });
  expect((await refer(owner.tenantId)).status).toBe(400);
  expect((await refer('tn_00000000000000000000')).status).toBe(404);
  expect((await refer(friend.tenantId)).status).toBe(200);
  expect((await refer(friend.tenantId)).status).toBe(200);
  expect((await refer(other.tenantId)).status).toBe(409);
});

test('what an accelerator would have earned follows from the last hour with rewards', async () => {
  const owner = await trial.tenant('200');
  const nodeId = await trial.machine(owner.tenantId, ['a100']);
  await trial.stake(owner, nodeId, '200');
  await trial.judged(nodeId, hour);
  await trial.sweepAfterHour(hour);
  const { body } = await trial.call(owner, 'GET', '/token/estimate?model=h100-sxm&gpus=2');
  const half = (trial.wiring.schedule.amount(hour) * 4n) / 5n;
  expect(body).toMatchObject({ hour, gpus: 2, minimumStake: '800.00000000' });
  expect(body.ioPerHour.replace('.', '')).toBe(String(half));
});

test('the schedule can be asked for any of its hours', async () => {
  const of = (wanted: number) => trial.call(trial.operator, 'GET', `/token/schedule/${wanted}`);
  expect((await of(2)).body).toEqual({ hour: 2, amount: '4566.14591665', through: '9132.35596231' });
  expect((await of(175_320)).body.through).toBe('297415261.71734725');
  expect((await of(175_321)).status).toBe(404);
});
