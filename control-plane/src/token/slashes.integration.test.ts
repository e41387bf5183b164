/** Slashes, IOSD and votes on a real database over HTTP; and what each tenant can see and do of another's. */
import type { NodeId } from '@iocloud/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { TestKey } from '../test-ground.js';
import { newKey, TokenTrial } from './testing/index.js';

let trial: TokenTrial;
beforeAll(async () => {
  trial = await TokenTrial.start();
  // Nothing is emitted here: what happens by itself stays apart from it.
  Object.assign(trial.wiring, { genesis: null });
});
afterEach(async () => {
  trial.rate = 151_000_000_000_000_000n;
  expect(await trial.faults()).toEqual([]);
});
afterAll(() => trial?.stop());

/** A supplier with 600 staked and 100 on its way out, and a third party with 300. */
async function staked(): Promise<{ owner: TestKey; other: TestKey; nodeId: NodeId }> {
  const [owner, other] = [await trial.tenant('700'), await trial.tenant('300')];
  const nodeId = await trial.machine(owner.tenantId, ['a100']);
  await trial.call(owner, 'PATCH', '/token/settings', { delegationPpm: 10_000 });
  await trial.stake(owner, nodeId, '700');
  await trial.stake(other, nodeId, '300');
  await trial.unstake(owner, nodeId, '100');
  return { owner, other, nodeId };
}
const slashesOf = async (key: TestKey) => (await trial.call(key, 'GET', '/token/slashes')).body.items;
const burned = async () => BigInt((await trial.balances({ tenantId: null }))['burned IO'] ?? 0);
const decide = (id: string, decision: 'upheld' | 'rejected') =>
  trial.call(trial.operator, 'POST', `/token/slashes/${id}/decision`, { decision, reason: 'looked at again' });
const appeal = (key: TestKey, id: string) =>
  trial.call(key, 'POST', `/token/slashes/${id}/appeal`, { reason: 'the samples were right' });

describe('a slash', () => {
  test('takes from all stake in proportion, what is on its way out too, and is burned after its month', async () => {
    const { owner, other, nodeId } = await staked();
    const before = await burned();
    const { status, body } = await trial.slash(nodeId, '100');
    expect([status, body.amount, body.state]).toEqual([201, '100.00000000', 'open']);
    expect(await trial.balances(owner)).toEqual({
      'stake IO': '54000000000',
      'unstaking IO': '9000000000',
      'slashed IO': '7000000000',
    });
    expect(await trial.balances(other)).toEqual({ 'stake IO': '27000000000', 'slashed IO': '3000000000' });
    expect(await slashesOf(owner)).toMatchObject([{ amount: '70.00000000', evidence: 'incident 7' }]);
    expect(await slashesOf(other)).toMatchObject([{ amount: '30.00000000', evidence: '' }]);
    trial.at = new Date(Date.parse(body.appealUntil) - 1);
    await trial.sweep();
    expect(await burned()).toBe(before);
    trial.at = new Date(Date.parse(body.appealUntil));
    await trial.sweep();
    await trial.sweep();
    expect((await burned()) - before).toBe(10_000_000_000n);
    expect(await trial.balances(other)).toEqual({ 'stake IO': '27000000000' });
    expect((await appeal(owner, body.id)).status).toBe(409);
  });

  test('never takes more than the stake', async () => {
    const { owner, other, nodeId } = await staked();
    expect((await trial.slash(nodeId, '999999')).body.amount).toBe('1000.00000000');
    expect(await trial.balances(owner)).toEqual({ 'slashed IO': '70000000000' });
    expect(await trial.balances(other)).toEqual({ 'slashed IO': '30000000000' });
    expect((await trial.slash(nodeId, '1')).status).toBe(409);
  });

  test('comes back to where it was where its appeal is upheld, also when what cooled down has arrived since', async () => {
    const { owner, other, nodeId } = await staked();
    const first = (await trial.slash(nodeId, '100')).body;
    expect((await appeal(owner, first.id)).body).toMatchObject({ state: 'appealed', appeal: 'the samples were right' });
    expect((await appeal(owner, first.id)).status).toBe(409);
    trial.later(15 * 24);
    await trial.sweep();
    expect((await decide(first.id, 'upheld')).body.state).toBe('returned');
    expect((await decide(first.id, 'upheld')).status).toBe(409);
    expect(await trial.balances(owner)).toEqual({ 'stake IO': '60000000000', 'available IO': '10000000000' });
    expect(await trial.balances(other)).toEqual({ 'stake IO': '30000000000' });
    trial.later(365 * 24);
    await trial.sweep();
    expect(await trial.balances(other)).toEqual({ 'stake IO': '30000000000' });
  });

  test('whose appeal is rejected is burned when the month is over; one that is not decided waits', async () => {
    const { owner, nodeId } = await staked();
    const before = await burned();
    const [first, second] = [(await trial.slash(nodeId, '10')).body, (await trial.slash(nodeId, '20')).body];
    await appeal(owner, first.id);
    await appeal(owner, second.id);
    expect((await decide(first.id, 'rejected')).body.state).toBe('confirmed');
    await trial.sweep();
    expect(await burned()).toBe(before);
    trial.later(31 * 24);
    await trial.sweep();
    expect((await burned()) - before).toBe(1_000_000_000n);
    expect((await slashesOf(owner)).map(({ state }: { state: string }) => state).sort()).toEqual([
      'appealed',
      'burned',
    ]);
    await decide(second.id, 'rejected');
    await trial.sweep();
    expect((await burned()) - before).toBe(3_000_000_000n);
  });

  test('with the same key is one, and an operator takes none of it back by the ledger alone', async () => {
    const { nodeId } = await staked();
    const key = newKey();
    expect((await trial.slash(nodeId, '5', key)).body.id).toBe((await trial.slash(nodeId, '5', key)).body.id);
    const { body } = await trial.call(trial.operator, 'GET', '/ledger/transactions?all=true&limit=1');
    const reversal = `/ledger/transactions/${body.items[0].id}/reversal`;
    expect((await trial.call(trial.operator, 'POST', reversal, { reason: 'a mistake' })).status).toBe(409);
  });

  test('for a failed proof comes by itself, once, after a day, where the parameters say so', async () => {
    const automatic = await TokenTrial.start({ failedProofPpm: 50_000 });
    try {
      Object.assign(automatic.wiring, { genesis: null });
      const owner = await automatic.tenant('200');
      const nodeId = await automatic.machine(owner.tenantId, ['a100']);
      await automatic.stake(owner, nodeId, '200');
      await automatic.judged(nodeId, 1, 'failed');
      automatic.at = new Date(automatic.hour(1).getTime() + 86_399_999);
      await automatic.sweep();
      expect(await automatic.balances(owner)).toEqual({ 'stake IO': '20000000000' });
      automatic.later(1);
      await automatic.sweep();
      await automatic.sweep();
      expect(await automatic.balances(owner)).toEqual({ 'stake IO': '19000000000', 'slashed IO': '1000000000' });
      const { body } = await automatic.call(owner, 'GET', '/token/slashes');
      expect(body.items).toMatchObject([{ reason: expect.stringMatching('has failed: too slow') }]);
      expect(await automatic.faults()).toEqual([]);
    } finally {
      await automatic.stop();
    }
  });
});

describe('IOSD', () => {
  const burn = (key: TestKey, amount: string, more = {}, idempotencyKey = newKey()) =>
    trial.call(key, 'POST', '/token/iosd', { amount, ...more }, idempotencyKey);

  test('comes from burned IO at the rate, rounded down, once for a key', async () => {
    const tenant = await trial.tenant('100');
    const [before, key] = [await burned(), newKey()];
    const made = await burn(tenant, '10.00000001', {}, key);
    expect(made).toMatchObject({ status: 201, body: { burned: '10.00000001', minted: '1.510000', usdPerIo: '0.151' } });
    expect(await burn(tenant, '10.00000001', {}, key)).toEqual(made);
    expect(await trial.balances(tenant)).toEqual({ 'available IO': '8999999999', 'available IOSD': '1510000' });
    expect((await burned()) - before).toBe(1_000_000_001n);
    expect((await trial.call(tenant, 'GET', '/token')).body.iosd).toBe('1.510000');
  });

  test('is not minted without a rate, below the asked for, for less than a unit, or beyond what is there', async () => {
    const tenant = await trial.tenant('1');
    expect((await burn(tenant, '1', { atLeast: '0.151001' })).status).toBe(409);
    expect((await burn(tenant, '0.00000661')).status).toBe(400);
    expect((await burn(tenant, '1.00000001')).status).toBe(409);
    trial.rate = null;
    expect((await burn(tenant, '1')).status).toBe(409);
    expect(await trial.balances(tenant)).toEqual({ 'available IO': '100000000' });
  });

  test('comes from nothing else, and pays out of a hold as a dollar', async () => {
    const [tenant, supplier] = [await trial.tenant('100'), await trial.tenant()];
    expect((await trial.credit(tenant, '5', 'IOSD')).status).toBe(400);
    await expect(
      trial.ground.database.query(`INSERT INTO ledger_accounts (kind, asset) VALUES ('deposits', 'IOSD')`),
    ).rejects.toThrow('ledger_accounts_iosd');
    await burn(tenant, '100');
    const hold = { reference: 'iosd-order', tenantId: tenant.tenantId, asset: 'IOSD', amount: '10', memo: 'a cluster' };
    expect((await trial.call(trial.operator, 'POST', '/ledger/holds', hold)).status).toBe(201);
    const usage = { supplierId: supplier.tenantId, costUsd: '1.234567', usdPerIo: '1.85', memo: 'hour 1' };
    await trial.call(trial.operator, 'POST', '/ledger/holds/iosd-order/settlements', usage, newKey());
    await trial.call(trial.operator, 'POST', '/ledger/holds/iosd-order/close');
    expect(await trial.balances(tenant)).toEqual({ 'available IOSD': String(15_100_000 - 1_262_344) });
    expect(await trial.balances(supplier)).toEqual({ 'earnings IO': '66566486' });
  });
});

describe('a proposal', () => {
  const changes = { cooldownHours: 24 * 21 };
  const propose = (key: TestKey, change: object = changes) =>
    trial.call(key, 'POST', '/token/proposals', { title: 'longer', text: 'why', changes: change }, newKey());
  const vote = (key: TestKey, id: string, ballot: string) =>
    trial.call(key, 'POST', `/token/proposals/${id}/vote`, { vote: ballot });
  const shown = async (id: string) => (await trial.call(trial.operator, 'GET', `/token/proposals/${id}`)).body;
  const inForce = async () => (await trial.call(trial.operator, 'GET', '/token')).body.parameters;
  let large: TestKey;
  let small: TestKey;
  let late: TestKey;
  let nodeId: NodeId;
  let lateNode: NodeId;
  beforeAll(async () => {
    // More than all else that is staked here together.
    [large, small, late] = [await trial.tenant('60000'), await trial.tenant('30000'), await trial.tenant('90000')];
    nodeId = await trial.machine(large.tenantId, ['a100']);
    lateNode = await trial.machine(late.tenantId, ['a100']);
    await trial.stake(large, nodeId, '60000');
    await trial.stake(small, await trial.machine(small.tenantId, ['a100']), '30000');
  });

  test('is voted on with the stake at its beginning, and carried out once, after its delay', async () => {
    const { body, status } = await propose(large);
    expect([status, body.state, body.yourStake]).toEqual([201, 'voting', '60000.00000000']);
    await trial.stake(late, lateNode, '90000');
    await trial.unstake(large, nodeId, '60000');
    expect((await vote(late, body.id, 'no')).status).toBe(403);
    expect((await vote(large, body.id, 'yes')).body.votes).toEqual({
      yes: '60000.00000000',
      no: '0.00000000',
      abstain: '0.00000000',
    });
    expect((await vote(large, body.id, 'yes')).status).toBe(200);
    expect((await vote(large, body.id, 'no')).status).toBe(409);
    expect((await vote(small, body.id, 'no')).body).toMatchObject({ yourVote: 'no' });
    const before = await inForce();
    trial.at = new Date(Date.parse(body.votingEndsAt));
    expect((await vote(small, body.id, 'no')).status).toBe(409);
    await trial.sweep();
    expect((await shown(body.id)).state).toBe('passed');
    expect(await inForce()).toEqual(before);
    trial.at = new Date(Date.parse(body.executeAt));
    await Promise.all([trial.sweep(), trial.sweep(), trial.sweep()]);
    await trial.sweep();
    expect(await shown(body.id)).toMatchObject({ state: 'executed', version: before.version + 1, yourVote: null });
    trial.later(1);
    expect(await inForce()).toMatchObject({ proposalId: body.id, parameters: { ...before.parameters, ...changes } });
    const versions = (await trial.call(trial.operator, 'GET', '/token/parameters')).body.items;
    expect(versions[1]).toEqual(before);
  });

  test('that too little votes on, or that no outweighs, changes nothing', async () => {
    const [first, second] = [(await propose(late)).body, (await propose(late, { votingHours: 48 })).body];
    expect((await vote(small, first.id, 'yes')).status).toBe(200);
    await vote(late, second.id, 'no');
    await vote(small, second.id, 'yes');
    const before = await inForce();
    trial.at = new Date(Date.parse(first.votingEndsAt));
    await trial.sweep();
    expect(await shown(second.id)).toMatchObject({ state: 'rejected', reason: expect.stringMatching('said yes') });
    trial.later(1_000);
    await trial.sweep();
    expect(await inForce()).toMatchObject({
      version: before.version + Number((await shown(first.id)).state === 'executed'),
    });
  });

  test('takes stake, and changes only what may be changed within its bounds', async () => {
    const poor = await trial.tenant('999');
    await trial.stake(poor, await trial.machine(poor.tenantId, ['a100']), '999');
    expect((await propose(poor)).status).toBe(403);
    const refused = [{}, { cap: '900000000' }, { cooldownHours: 1 }, { thresholdPpm: 400_000 }, { stakePerGpu: '0' }];
    for (const change of [...refused, { delegationMinPpm: 900_000 }])
      expect((await propose(late, change)).status).toBe(400);
  });
});

test('of another’s stakes, slashes and machines nothing can be read or moved', async () => {
  const { owner, nodeId } = await staked();
  const stranger = await trial.tenant('50');
  const made = (await trial.slash(nodeId, '10')).body;
  const before = await trial.balances(owner);
  expect((await trial.unstake(stranger, nodeId, '1')).status).toBe(409);
  expect((await appeal(stranger, made.id)).status).toBe(404);
  expect((await decide(made.id, 'upheld')).status).toBe(409);
  const decision = { decision: 'upheld', reason: 'mine' };
  expect((await trial.call(owner, 'POST', `/token/slashes/${made.id}/decision`, decision)).status).toBe(403);
  const slash = { nodeId, amount: '1', reason: 'r', evidence: 'e' };
  expect((await trial.call(owner, 'POST', '/token/slashes', slash, newKey())).status).toBe(403);
  expect((await trial.call(stranger, 'GET', '/token/slashes?all=true')).status).toBe(403);
  for (const list of ['slashes', 'stakes', 'unstakings', 'rewards']) {
    expect([list, (await trial.call(stranger, 'GET', `/token/${list}`)).body.items]).toEqual([list, []]);
  }
  expect((await trial.call(stranger, 'GET', `/token/machines/${nodeId}/hours`)).status).toBe(404);
  const ids = (await trial.call(owner, 'GET', '/token/unstakings')).body.items;
  expect((await trial.call(stranger, 'GET', `/token/unstakings?after=${ids[0].id}`)).body.items).toEqual([]);
  expect(await trial.balances(owner)).toEqual(before);
});

describe('the database refuses by itself', () => {
  test.each([
    ['an hour out of its order', `INSERT INTO token_hours VALUES (7, 1, 1, 1, 0, 1, 0, 0)`, 'does not follow'],
    [
      'a version that begins earlier',
      `INSERT INTO token_versions VALUES (99, '1960-01-01', '{}', NULL)`,
      'does not follow',
    ],
    ['to change a version', `UPDATE token_versions SET parameters = '{}'`, 'never changed'],
    ['to change the history of stake', `DELETE FROM token_stake_history`, 'never changed'],
    ['to change what was found', `UPDATE token_machine_hours SET reward = 1`, 'never changed'],
    ['to change what was given', `TRUNCATE token_rewards`, 'never changed'],
    ['a stake below nothing', `UPDATE token_stakes SET amount = -1`, 'token_stakes_amount_check'],
    [
      'stake in dollars',
      `INSERT INTO ledger_accounts (kind, asset, tenant_id) SELECT 'stake', 'USD', id FROM tenants LIMIT 1`,
      'of_stake',
    ],
  ])('%s', async (_what, statement, words) => {
    await expect(trial.ground.database.query(statement)).rejects.toThrow(words);
  });

  test('an hour that would pass the cap', async () => {
    await expect(
      trial.ground.database.transaction(async tx => {
        await tx.query(`INSERT INTO token_genesis VALUES (true, '2027-01-01', 90, 100, 1, 1, 10)`);
        await tx.query('INSERT INTO token_hours VALUES (1, 1, 10, 10, 0, 10, 0, 0)');
        await tx.query('INSERT INTO token_hours VALUES (2, 1, 1, 1, 0, 11, 0, 0)');
      }),
    ).rejects.toThrow('would pass the cap');
  });
});
