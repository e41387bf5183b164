import { createHmac } from 'node:crypto';
import type { NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { SimulatedAgent, Trial } from '../clusters/testing/index.js';
import { acceleratorOf } from '../core/matching/index.js';
import { type Expectation, hourMs, hourOf } from '../core/verification/index.js';
import { foldEvidence, recordEvidence, StreamRefused } from '../inventory/index.js';
import { availableMachines, enrolledMachines, readMachines } from '../inventory/store.js';
import type { TestKey } from '../test-ground.js';
import { decideAppeal, fileAppeal } from './appeals.js';
import { challengeDue, challengeSweep, type Wiring } from './challenges.js';
import { applyPolicy, lapsed, settleEligibility } from './eligibility.js';
import { forgetOld, planHour } from './planning.js';
import { getVerification, listVerifications } from './store.js';
import { expectation } from './testing/challenge.js';
import { type Cheat, hash, newDeviceKey, ProvingMachine } from './testing/machine.js';

jest.setTimeout(60_000);
const GiB = 2 ** 30;
let trial: Trial;
let owner: TestKey;
let stranger: TestKey;
beforeAll(async () => {
  trial = await Trial.start();
  owner = await trial.tenant();
  stranger = await trial.tenant();
  await trial.database.transaction(tx => applyPolicy(tx, true));
}, 60_000);
afterAll(() => trial.stop());

/** What each machine does when it is challenged. */
const machines = new Map<NodeId, { machine: ProvingMachine; clock: { ms: number } }>();
const clock = { ms: 0 };
let nowMs = Date.now();
beforeEach(async () => {
  nowMs = Date.now();
  machines.clear();
  await trial.database.query('UPDATE nodes SET removed_at = now(), online = false WHERE removed_at IS NULL');
});

const wiring = (changes: Partial<Wiring> = {}): Wiring => ({
  database: trial.database,
  machines: {
    openStream: async nodeId => {
      const found = machines.get(nodeId);
      if (!found) throw new StreamRefused('offline', 'it is not connected');
      return found.machine.stream();
    },
  },
  leaseBook: trial.domain.leaseBook,
  reputation: { record: recordEvidence },
  keyed: bytes => createHmac('sha256', 'secret').update(bytes).digest(),
  hash,
  log: trial.ground.log,
  now: () => new Date(nowMs),
  clockMs: () => clock.ms,
  ending: new AbortController().signal,
  expectation: (): Expectation => expectation,
  ...changes,
});

async function sharedMachine(passMs = 1_000, cheat: Cheat = {}): Promise<NodeId> {
  const { nodeId } = await trial.machine(owner.tenantId);
  const key = newDeviceKey();
  await trial.database.query(
    `UPDATE nodes SET shared = true, public_key = $2, terms = terms || '{"plainProcesses": true}' WHERE id = $1`,
    [nodeId, key.public],
  );
  behave(nodeId, passMs, cheat, key);
  return nodeId;
}

function behave(nodeId: NodeId, passMs: number, cheat: Cheat = {}, key = machines.get(nodeId)?.machine.key): void {
  if (!key) throw new Error('a machine has a key');
  machines.set(nodeId, { machine: new ProvingMachine(key, { clock, passMs: () => passMs, cheat }), clock });
}

const plan = () =>
  planHour({
    database: trial.database,
    keyed: wiring().keyed,
    random: n => new Uint8Array(n).map(() => Math.random() * 256),
    now: wiring().now,
  });
/** Plans this hour, and gives what is due, second tries included. */
async function look(): Promise<void> {
  await plan();
  for (let turn = 0; turn < 3; turn += 1) {
    await challengeDue(wiring());
    await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due' AND tries > 0");
  }
}
const eligible = async (nodeId: NodeId) =>
  (await trial.database.query<{ eligible: boolean }>('SELECT eligible FROM nodes WHERE id = $1', [nodeId])).rows[0]
    ?.eligible;
const verdicts = (nodeId: NodeId) => listVerifications(trial.database, nodeId, undefined, 100);
const offeredTo = async (tenant: TestKey, nodeId: NodeId) => {
  const ids = (list: { nodeId: NodeId }[]) => list.some(one => one.nodeId === nodeId);
  const read = (await readMachines(trial.database, [nodeId]))[0];
  return [
    ids(await availableMachines(trial.database, tenant.tenantId)),
    ids(await enrolledMachines(trial.database, tenant.tenantId)),
    read?.shared === true || read?.ownerId === tenant.tenantId,
  ];
};
const events = async (nodeId: NodeId) =>
  (
    await trial.database.query<{ reason: string }>('SELECT reason FROM events WHERE subject = $1 ORDER BY sequence', [
      nodeId,
    ])
  ).rows.map(row => row.reason);
const standing = async (nodeId: NodeId) => {
  while ((await foldEvidence(trial.database)) > 0);
  const { rows } = await trial.database.query<{ bad: number }>('SELECT bad FROM standings WHERE subject = $1', [
    nodeId,
  ]);
  return rows[0]?.bad ?? 0;
};

test('a new machine is challenged at once, and offered to others from then on; its owner has it before', async () => {
  const nodeId = await sharedMachine();
  expect(await offeredTo(stranger, nodeId)).toEqual([false, false, false]);
  expect(await offeredTo(owner, nodeId)).toEqual([true, true, true]);
  await look();
  expect(await eligible(nodeId)).toBe(true);
  expect(await offeredTo(stranger, nodeId)).toEqual([true, true, true]);
  const [verdict, ...more] = await verdicts(nodeId);
  expect(more).toEqual([]);
  expect(verdict).toMatchObject({ verdict: 'passed', state: 'judged', tries: 1, slowestMs: 1_300, passesNeeded: 4 });
  expect(verdict?.passes).toHaveLength(7);
  expect(verdict?.seed).toMatch(/^[0-9a-f]{64}$/);
  expect(await events(nodeId)).toEqual(['DeviceVerified', 'NodeEligible']);
  const { rows } = await trial.database.query('SELECT 1 FROM machine_changes WHERE node_id = $1', [nodeId]);
  expect(rows.length).toBeGreaterThan(1);
});

test('one that is too slow has two tries, then is offered to nobody, loses reputation, and comes back by passing', async () => {
  const nodeId = await sharedMachine();
  await look();
  behave(nodeId, 1_600);
  nowMs += hourMs;
  await plan();
  await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due'");
  await challengeDue(wiring());
  const [once] = await verdicts(nodeId);
  expect(once).toMatchObject({ state: 'due', tries: 1, verdict: null, dueAt: null, seed: null });
  expect(await eligible(nodeId)).toBe(true);
  await look();
  const [failed] = await verdicts(nodeId);
  expect(failed).toMatchObject({ verdict: 'failed', tries: 2, reason: expect.stringContaining('0 of 6 passes') });
  expect(await offeredTo(stranger, nodeId)).toEqual([false, false, false]);
  expect(await offeredTo(owner, nodeId)).toEqual([true, true, true]);
  expect(await standing(nodeId)).toBeCloseTo(8, 1);
  expect(await events(nodeId)).toEqual(expect.arrayContaining(['DeviceFailedVerification', 'NodeIneligible']));
  behave(nodeId, 1_000);
  nowMs += hourMs;
  await plan();
  await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due'");
  await look();
  expect(await eligible(nodeId)).toBe(true);
});

test('a lie counts the first time', async () => {
  const nodeId = await sharedMachine(1_000, {
    rows: (rows, pass) => (pass === 3 ? rows.map(row => row.map(() => 1)) : rows),
  });
  await look();
  expect((await verdicts(nodeId))[0]).toMatchObject({
    verdict: 'failed',
    tries: 1,
    reason: expect.stringContaining('pass 3'),
  });
});

test('an accepted appeal makes the verdict void and takes back what it did; a rejected one changes nothing', async () => {
  const nodeId = await sharedMachine();
  await look();
  behave(nodeId, 5_000);
  nowMs += hourMs;
  await plan();
  await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due'");
  await look();
  const [failed] = await verdicts(nodeId);
  if (!failed) throw new Error('it failed');
  expect(await standing(nodeId)).toBeGreaterThan(7.9);
  const { database } = trial;
  const reputation = { record: recordEvidence };
  const found = await getVerification(database, failed.id);
  const [passed] = (await verdicts(nodeId)).slice(1);
  const appeal = (id: typeof failed) =>
    database.transaction(async tx => fileAppeal(tx, await getVerification(tx, id.id), owner.userId, 'the fan'));
  await expect(appeal(passed as typeof failed)).rejects.toThrow('only a verdict of failed');
  expect(await appeal(failed)).toMatchObject({ appeal: { reason: 'the fan', decision: null } });
  await expect(appeal(failed)).rejects.toThrow('appealed already');
  const decide = (decision: 'accepted' | 'rejected') =>
    database.transaction(tx =>
      decideAppeal(tx, reputation, failed.id, stranger.userId, { decision, reason: 'so it was' }),
    );
  expect(await decide('accepted')).toMatchObject({ verdict: 'void', appeal: { decision: 'accepted' } });
  await expect(decide('rejected')).rejects.toThrow('decided already');
  expect(await standing(nodeId)).toBeLessThan(0.01);
  expect(await eligible(nodeId)).toBe(true);
  expect(found.tenantId).toBe(owner.tenantId);
  expect(await events(nodeId)).toEqual(expect.arrayContaining(['AppealFiled', 'AppealAccepted']));
});

test('what is leased is not challenged; the hour counts as leased, for a day at most', async () => {
  const nodeId = await sharedMachine();
  await look();
  const cluster = await trial.create(owner.tenantId, { name: 'leasing', head: { cpus: 1 } });
  await new SimulatedAgent(nodeId, trial).obey();
  const used = (await trial.domain.leaseBook.leased(trial.database, [nodeId])).get(nodeId);
  expect([cluster !== undefined, (used?.cpus ?? 0) > 0]).toEqual([true, true]);
  nowMs += hourMs;
  await plan();
  await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due'");
  await challengeDue(wiring());
  expect((await verdicts(nodeId))[0]).toMatchObject({ state: 'due', tries: 0 });
  await trial.database.query(
    "UPDATE verifications SET hour = hour - interval '3 h', due_at = now() WHERE state = 'due'",
  );
  const sweep = challengeSweep(wiring());
  await sweep.turn(() => true);
  expect((await listVerifications(trial.database, nodeId, undefined, 9)).map(one => one.verdict)).toContain('leased');
  expect(await eligible(nodeId)).toBe(true);
  await trial.database.query(
    "UPDATE verifications SET judged_at = judged_at - interval '25 h' WHERE verdict = 'passed'",
  );
  for (const id of await lapsed(trial.database)) await trial.database.transaction(tx => settleEligibility(tx, id));
  expect(await eligible(nodeId)).toBe(false);
});

test('one whose hour passes while it is away has missed it; after two hours without a verdict it has to prove itself again', async () => {
  const nodeId = await sharedMachine();
  await look();
  nowMs += hourMs;
  await plan();
  await trial.database.query('UPDATE nodes SET online = false WHERE id = $1', [nodeId]);
  await trial.database.query(
    "UPDATE verifications SET hour = hour - interval '3 h', due_at = now() - interval '2 h' WHERE state = 'due'",
  );
  await challengeSweep(wiring()).turn(() => true);
  expect((await verdicts(nodeId)).map(one => one.verdict)).toContain('missed');
  expect(await eligible(nodeId)).toBe(true);
  await trial.database.query("UPDATE verifications SET judged_at = judged_at - interval '3 h' WHERE node_id = $1", [
    nodeId,
  ]);
  await challengeSweep(wiring()).turn(() => true);
  expect(await eligible(nodeId)).toBe(false);
});

test('one that fails and then keeps away has failed', async () => {
  const nodeId = await sharedMachine(9_000);
  await plan();
  await challengeDue(wiring());
  await trial.database.query(
    "UPDATE verifications SET hour = hour - interval '3 h', due_at = now() - interval '2 h' WHERE state = 'due'",
  );
  await trial.database.query('UPDATE nodes SET online = false WHERE id = $1', [nodeId]);
  await challengeSweep(wiring()).turn(() => true);
  expect((await verdicts(nodeId))[0]).toMatchObject({ verdict: 'failed' });
});

test('a conversation whose process has gone is taken up by another, with a new seed', async () => {
  const nodeId = await sharedMachine();
  await plan();
  await trial.database.query(
    `UPDATE verifications SET state = 'committed', tries = 1, seed = $2, held_until = now() - interval '1 s' WHERE node_id = $1`,
    [nodeId, 'ab'.repeat(32)],
  );
  await challengeSweep(wiring()).turn(() => false);
  const [verdict] = await verdicts(nodeId);
  expect(verdict).toMatchObject({ verdict: 'passed', tries: 1 });
  expect(verdict?.seed).not.toBe('ab'.repeat(32));
});

test('what is under way when the process ends counts for nothing, and is due at once', async () => {
  const ending = new AbortController();
  const nodeId = await sharedMachine(1_000, {
    answer: (honest, { type }) => {
      if (type === 'begin') ending.abort();
      return honest;
    },
  });
  await plan();
  await challengeDue(wiring({ ending: ending.signal }));
  expect((await verdicts(nodeId))[0]).toMatchObject({ state: 'due', tries: 0 });
  behave(nodeId, 1_000);
  nowMs += 1_000;
  await look();
  expect((await verdicts(nodeId))[0]).toMatchObject({ verdict: 'passed' });
});

test('verdicts are forgotten after thirty days, those that were appealed against are not', async () => {
  const nodeId = await sharedMachine(9_000);
  await look();
  const other = await sharedMachine(9_000);
  await look();
  const [appealed] = await verdicts(other);
  await trial.database.query(
    "INSERT INTO verification_appeals (verification_id, reason, filed_by) VALUES ($1, 'x', 'x')",
    [appealed?.id],
  );
  await trial.database.query("UPDATE verifications SET judged_at = judged_at - interval '31 days'");
  await forgetOld(trial.database);
  expect([(await verdicts(nodeId)).length, (await verdicts(other)).length]).toEqual([0, 1]);
});

test('two processes that look at once challenge each device once', async () => {
  const nodes = [await sharedMachine(), await sharedMachine(), await sharedMachine()];
  await plan();
  const given = await Promise.all([challengeDue(wiring()), challengeDue(wiring())]);
  expect(given.reduce((sum, one) => sum + one, 0)).toBe(3);
  for (const nodeId of nodes) expect((await verdicts(nodeId)).map(({ tries }) => tries)).toEqual([1]);
});

test('one device that answers for two machines passes for one of them at most, however it turns the rounds', async () => {
  const [one, two] = [await sharedMachine(), await sharedMachine()];
  await look();
  const first = [(await verdicts(one))[0]?.verdict, (await verdicts(two))[0]?.verdict];
  expect(first).toContain('failed');
  // Two that have a device each work at the same time.
  behave(one, 1_000);
  behave(two, 0);
  nowMs += hourMs;
  await plan();
  await trial.database.query("UPDATE verifications SET due_at = now() WHERE state = 'due'");
  await look();
  expect([(await verdicts(one))[0]?.verdict, (await verdicts(two))[0]?.verdict]).toEqual(['passed', 'passed']);
});

test('one that stalls keeps the others waiting, and works for none of them meanwhile', async () => {
  const sent: string[] = [];
  const told = (name: string): Cheat => ({
    answer: (honest, { type }) => {
      if (type === 'pass') sent.push(name);
      return honest;
    },
  });
  await sharedMachine(1_000, told('one'));
  await sharedMachine(0, told('two'));
  await plan();
  await challengeDue(wiring());
  const passes = Array.from({ length: 7 }, (_, pass) => sent.slice(2 * pass, 2 * pass + 2).sort());
  expect(passes).toEqual(Array(7).fill(['one', 'two']));
});

test('all devices of a supplier are due at one time of the hour, which is not told before', async () => {
  const nodes = [await sharedMachine(), await sharedMachine()];
  await look();
  nowMs = hourOf(nowMs) + 2 * hourMs;
  await plan();
  const { rows } = await trial.database.query<{ due_at: Date }>(
    "SELECT due_at FROM verifications WHERE state = 'due' AND node_id = ANY($1)",
    [nodes],
  );
  expect(rows).toHaveLength(2);
  expect(rows[0]?.due_at).toEqual(rows[1]?.due_at);
  const moment = (rows[0]?.due_at.getTime() ?? 0) - nowMs;
  expect(moment).toBeGreaterThanOrEqual(0);
  expect(moment).toBeLessThan(50 * 60_000);
  for (const nodeId of nodes) expect((await verdicts(nodeId))[0]?.dueAt).toBeNull();
});

test('a device that was exchanged has to prove itself before the machine is offered again', async () => {
  const nodeId = await sharedMachine();
  await look();
  const model = acceleratorOf('l4');
  const device = {
    index: 0,
    uuid: 'GPU-9',
    vendor: 'nvidia',
    model: model?.name,
    memoryBytes: 24 * GiB,
    simulated: false,
  };
  await trial.database.query(`UPDATE nodes SET inventory = jsonb_set(inventory, '{devices}', $2) WHERE id = $1`, [
    nodeId,
    JSON.stringify([device]),
  ]);
  await trial.database.transaction(tx => settleEligibility(tx, nodeId));
  expect(await eligible(nodeId)).toBe(false);
});

test('where no proof is required every machine is offered', async () => {
  const nodeId = await sharedMachine();
  expect(await eligible(nodeId)).toBe(false);
  await trial.database.transaction(tx => applyPolicy(tx, false));
  expect(await eligible(nodeId)).toBe(true);
  await trial.database.transaction(tx => applyPolicy(tx, true));
  expect(await eligible(nodeId)).toBe(false);
});
