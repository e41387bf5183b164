/** Each commit of a life of the token rules is a place to die: done again from there, it comes to the same. */
import type { NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TestKey } from '../test-ground.js';
import { TokenTrial } from './testing/index.js';

let trial: TokenTrial;
beforeAll(async () => {
  trial = await TokenTrial.start({
    cooldownHours: 24,
    appealHours: 168,
    votingHours: 24,
    executionDelayHours: 1,
    quorumPpm: 10_000,
  });
  // Each death would be told as a fault.
  trial.ground.log.level = 'silent';
});
afterAll(() => trial?.stop());

interface Life {
  owner: TestKey;
  other: TestKey;
  referrer: TestKey;
  nodeId: NodeId;
  hour: number;
}
type Step = (life: Life, id: string) => Promise<{ status: number } | undefined>;

const post = (key: TestKey, path: string, body: unknown, idempotencyKey?: string) =>
  trial.call(key, 'POST', `/token${path}`, body, idempotencyKey);
const newest = async (key: TestKey, list: string) =>
  (await trial.call(key, 'GET', `/token/${list}?limit=1`)).body.items[0];
const sweepUntil = async (ms: number) => {
  trial.at = new Date(ms);
  await trial.sweep();
};

/** What happens, in order; each is repeated as it was until it succeeds, as its caller or the next process would. */
const steps: Step[] = [
  ({ owner }) => trial.call(owner, 'PATCH', '/token/settings', { delegationPpm: 30_000 }),
  ({ owner, referrer }) => trial.call(owner, 'PATCH', '/token/settings', { referrerId: referrer.tenantId }),
  ({ owner, nodeId }, id) => trial.stake(owner, nodeId, '2200', `${id} own`),
  ({ other, nodeId }, id) => trial.stake(other, nodeId, '300', `${id} other`),
  ({ owner }, id) => post(owner, '/iosd', { amount: '12.3456789' }, `${id} iosd`),
  async ({ hour, nodeId }) => {
    // A call that is made again finds its rows there.
    await trial.ground.database.query('DELETE FROM verifications WHERE node_id = $1', [nodeId]);
    for (const each of [hour, hour + 1]) await trial.judged(nodeId, each);
    await sweepUntil(trial.hour(hour + 2).getTime() + 600_000);
  },
  ({ owner, nodeId }, id) => trial.unstake(owner, nodeId, '500', `${id} out`),
  ({ nodeId }, id) => trial.slash(nodeId, '77.7', `${id} first slash`),
  ({ nodeId }, id) => {
    // Which of the two is the newer one.
    trial.at = new Date(trial.at.getTime() + 1_000);
    return trial.slash(nodeId, '7.77', `${id} second slash`);
  },
  async ({ owner }) => {
    const { id, appeal } = await newest(owner, 'slashes');
    return appeal ? { status: 200 } : post(owner, `/slashes/${id}/appeal`, { reason: 'not so' });
  },
  async ({ owner }) => {
    const { id, decision } = await newest(owner, 'slashes');
    const body = { decision: 'upheld', reason: 'right' };
    return decision ? { status: 200 } : post(trial.operator, `/slashes/${id}/decision`, body);
  },
  ({ owner }, id) =>
    post(owner, '/proposals', { title: 't', text: 't', changes: { appealHours: 168 } }, `${id} proposal`),
  async ({ owner }) => post(owner, `/proposals/${(await newest(owner, 'proposals')).id}/vote`, { vote: 'yes' }),
  async () => {
    // Without the hundreds of hours that would be emitted meanwhile.
    Object.assign(trial.wiring, { genesis: null });
    await sweepUntil(trial.at.getTime() + 200 * 3_600_000);
  },
];

/** To its end; `crashAt` null: undisturbed. How many commits it had, and what is whose then. */
async function live(name: string, crashAt: number | null, where: 'before' | 'after') {
  await trial.ground.database.query('UPDATE nodes SET shared = false');
  const hour = (await trial.call(trial.operator, 'GET', '/token')).body.hoursDone + 1;
  Object.assign(trial.wiring, { genesis: trial.genesis });
  trial.at = trial.hour(hour);
  const [owner, other, referrer] = [await trial.tenant('3000'), await trial.tenant('400'), await trial.tenant()];
  const life = { owner, other, referrer, hour, nodeId: await trial.machine(owner.tenantId, ['a100', 'h100']) };
  const before = trial.database.commits;
  for (const step of steps) {
    const started = trial.at;
    for (let tries = 0; ; tries += 1) {
      if (tries > 200) throw new Error(`${name} does not come to its end`);
      if (crashAt !== null && trial.database.commits - before === crashAt) {
        trial.database.crashNext(where);
        crashAt = null;
      }
      trial.at = started;
      const answer = await step(life, name).catch(error => {
        if (!/^crashed/.test(String(error.message))) throw error;
        return { status: 500 };
      });
      if (!answer || answer.status < 300) break;
      if (answer.status !== 500) throw new Error(`${name}: ${JSON.stringify(answer)}`);
    }
  }
  expect(await trial.faults()).toEqual([]);
  const outcome = {
    owner: await trial.balances(owner),
    other: await trial.balances(other),
    referrer: await trial.balances(referrer),
  };
  const slashes = (await trial.call(owner, 'GET', '/token/slashes')).body.items;
  const states = [...slashes, await newest(owner, 'proposals')].map(({ state }) => state);
  return { commits: trial.database.commits - before, outcome, states, hour };
}

/** Less the rewards, which fall from hour to hour. */
function comparable({ outcome, states, hour }: Awaited<ReturnType<typeof live>>) {
  const { schedule } = trial.wiring;
  const rewarded = schedule.amount(hour) + schedule.amount(hour + 1);
  const sum = Object.values(outcome).reduce((total, each) => total + BigInt(each['earnings IO'] ?? 0), 0n);
  const without = Object.entries(outcome).map(([who, { 'earnings IO': _, ...rest }]) => [who, rest]);
  return { rest: Object.fromEntries(without), unrewarded: rewarded - sum, states };
}

test('a life that is cut off before or after any of its commits ends as one that is not', async () => {
  const undisturbed = await live('undisturbed', null, 'after');
  const { rest, states, unrewarded } = comparable(undisturbed);
  // 77.7 IO of 2,500 are burned in proportion: 1,700 staked, 500 on its way out, 300 of the third party.
  expect(rest).toEqual({
    owner: { 'available IO': '127211432110', 'available IOSD': '1864197', 'stake IO': '164716400000' },
    other: { 'available IO': '10000000000', 'stake IO': '29067600000' },
    referrer: {},
  });
  expect([states, unrewarded]).toEqual([['returned', 'burned', 'executed'], 0n]);
  for (const where of ['before', 'after'] as const) {
    for (let at = 0; at < undisturbed.commits; at += 1) {
      const name = `cut off ${where} commit ${at + 1}`;
      expect({ name, ...comparable(await live(name, at, where)) }).toEqual({ name, ...comparable(undisturbed) });
    }
  }
});
