/** A cluster that stands on several machines: where it is placed, what its machines are told, and what they survive. */
import { randomBytes } from 'node:crypto';
import type { ClusterId, LeaseSpec, MeshReport, NodeId } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freeOfCharge } from '../billing/index.js';
import { drainNode, finishDrain } from '../inventory/draining.js';
import { enrolledMachines, getNode } from '../inventory/store.js';
import { explainPlacement } from './explain.js';
import { type SimulatedAgent, Trial } from './testing/index.js';

let trial: Trial;
beforeAll(async () => {
  trial = await Trial.start();
}, 60_000);
afterAll(() => trial.stop());

type Owner = Awaited<ReturnType<Trial['tenant']>>;
const able = { cpus: 4, mesh: { able: true, reason: 'wireguard-go' } };
const spec = { name: 'wide', head: { cpus: 3 }, workerGroups: [{ name: 'w', cpus: 3, count: 1 }] };

async function machines(owner: Owner, count: number, offer: object = able): Promise<SimulatedAgent[]> {
  return Promise.all(Array.from({ length: count }, () => trial.machine(owner.tenantId, offer)));
}

async function obey(agents: SimulatedAgent[]): Promise<void> {
  for (let round = 0; round < 2; round += 1) for (const agent of agents) await agent.obey();
}

const placesOf = async (id: ClusterId) =>
  Object.fromEntries((await trial.show(id)).leases.map(lease => [`${lease.group}/${lease.ordinal}`, lease.nodeId]));
const placed = async (id: ClusterId) => (await trial.show(id)).conditions.find(({ type }) => type === 'Placed');

function reportOf(clusterId: ClusterId, port: number, changes: Partial<MeshReport['networks'][number]> = {}) {
  const publicKey = randomBytes(32).toString('base64');
  const network = { clusterId, publicKey, listenPort: port, endpoints: [`10.0.0.${port}:${port}`], paths: [] };
  const networks = [{ ...network, wantsStream: false, ...changes }];
  return { publicKey, report: { networks, seen: [], observerKey: null } as MeshReport };
}

const peersOf = async (nodeId: NodeId) => (await trial.mesh.desired(nodeId)).networks[0]?.peers ?? [];

describe('a cluster that no machine carries alone', () => {
  test('stands on two, with addresses in a network of its own, and its workers know where the head is', async () => {
    const owner = await trial.tenant();
    const agents = await machines(owner, 2);
    const id = await trial.create(owner.tenantId, spec);
    await obey(agents);
    const shown = await trial.show(id);
    expect(shown.phase).toBe('ready');
    expect(new Set(Object.values(await placesOf(id))).size).toBe(2);
    expect(shown.network?.members.map(({ addresses }) => addresses).sort()).toEqual(['100.64.1.0/24', '100.64.2.0/24']);
    const leases = agents.flatMap(agent => agent.leases);
    const head = leases.find(({ role }) => role === 'head') as LeaseSpec;
    const worker = leases.find(({ role }) => role === 'worker') as LeaseSpec;
    expect(head.nodeIp).toMatch(/^100\.64\.[12]\.1$/);
    expect(worker.nodeIp).toMatch(/^100\.64\.[12]\.1$/);
    expect([head.headIp, worker.headIp]).toEqual([head.nodeIp, head.nodeIp]);
    expect(worker.nodeIp).not.toBe(head.nodeIp);

    await trial.wish(id, { desired: 'deleted' });
    await obey(agents);
    expect(await trial.show(id)).toMatchObject({ phase: 'deleted', network: null });
    for (const { nodeId } of agents) expect((await trial.mesh.desired(nodeId)).networks).toEqual([]);
  });

  test('that one machine carries stays on one, at its loopback addresses and without a network', async () => {
    const owner = await trial.tenant();
    const [small] = await machines(owner, 2);
    const large = await trial.machine(owner.tenantId, { ...able, cpus: 8 });
    const id = await trial.create(owner.tenantId, { ...spec, name: 'narrow' });
    expect(Object.values(await placesOf(id))).toEqual([large.nodeId, large.nodeId]);
    await large.obey();
    expect(large.leases.map(({ nodeIp }) => nodeIp)).toEqual(expect.arrayContaining(['127.0.0.2', '127.0.0.3']));
    expect((await trial.show(id)).network).toBeNull();
    expect((await trial.mesh.desired((small as SimulatedAgent).nodeId)).networks).toEqual([]);
  });

  test('waits, all of it, where the machines cannot join a network, and says so', async () => {
    const owner = await trial.tenant();
    await machines(owner, 2, { cpus: 4, mesh: { able: false, reason: 'wireguard-go is not on the PATH' } });
    const id = await trial.create(owner.tenantId, spec);
    expect(await placesOf(id)).toEqual({});
    expect(await placed(id)).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/none can join a network with others \(2 × wireguard-go is not on the PATH\)/),
    });
  });
});

describe('what machines of a network are told of each other', () => {
  test('keys and endpoints as each reports them; strangers, and those who have left, are told nothing', async () => {
    const owner = await trial.tenant();
    const [one, other, stranger] = (await machines(owner, 3)) as [SimulatedAgent, SimulatedAgent, SimulatedAgent];
    const id = await trial.create(owner.tenantId, spec);
    const [here = one, there = other] = [one, other, stranger].filter(agent => agent.nodeId !== undefined);
    const homes = Object.values(await placesOf(id)) as NodeId[];
    const [first, second] = homes as [NodeId, NodeId];
    const outside = [here, there, stranger].map(agent => agent.nodeId).find(nodeId => !homes.includes(nodeId));
    expect(await peersOf(first)).toEqual([]);
    const mine = reportOf(id, 51);
    await trial.mesh.reported(first, mine.report, '192.0.2.1');
    expect(await peersOf(second)).toMatchObject([
      { publicKey: mine.publicKey, endpoints: ['192.0.2.1:51', '10.0.0.51:51'] },
    ]);
    // A machine that does not belong to it may say what it likes.
    await trial.mesh.reported(outside as NodeId, reportOf(id, 66).report, '192.0.2.66');
    expect(await peersOf(second)).toHaveLength(1);
    const before = (await getNode(trial.database, owner.tenantId, second)) as unknown as { desired_revision: number };
    await trial.mesh.reported(first, mine.report, '192.0.2.1');
    const after = (await getNode(trial.database, owner.tenantId, second)) as unknown as { desired_revision: number };
    expect(after.desired_revision).toBe(before.desired_revision);
    // Where a member sees another's packets come from is the likeliest place.
    const theirs = reportOf(id, 52);
    const seen = [{ publicKey: mine.publicKey, endpoint: '192.0.2.1:40000' }];
    await trial.mesh.reported(second, { ...theirs.report, seen }, '192.0.2.2');
    expect((await peersOf(second))[0]?.endpoints[0]).toBe('192.0.2.1:40000');
  });

  test('a public machine of the tenant helps: members are told of it, and it of them', async () => {
    const owner = await trial.tenant();
    const agents = await machines(owner, 2);
    const relay = await trial.machine(owner.tenantId, { ...able, cpus: 1 });
    await trial.database.query(`UPDATE nodes SET terms = '{"relayAddress": "192.0.2.9:51900"}' WHERE id = $1`, [
      relay.nodeId,
    ]);
    const id = await trial.create(owner.tenantId, spec);
    const [first, second] = agents.map(agent => agent.nodeId) as [NodeId, NodeId];
    const told = async (nodeId: NodeId) => (await trial.mesh.desired(nodeId)).networks[0];
    expect(await told(first)).toMatchObject({ helper: { relay: '192.0.2.9:51900', observer: null } });
    const observerKey = randomBytes(32).toString('base64');
    await trial.mesh.reported(relay.nodeId, { networks: [], seen: [], observerKey }, '192.0.2.9');
    const mine = reportOf(id, 51);
    await trial.mesh.reported(first, mine.report, '192.0.2.1');
    await trial.mesh.reported(
      relay.nodeId,
      { networks: [], seen: [{ publicKey: mine.publicKey, endpoint: '192.0.2.1:40001' }], observerKey },
      '192.0.2.9',
    );
    expect((await told(first))?.helper?.observer).toEqual({ publicKey: observerKey, endpoint: '192.0.2.9:51901' });
    expect((await told(second))?.peers[0]?.endpoints[0]).toBe('192.0.2.1:40001');
    const { relay: duty } = await trial.mesh.desired(relay.nodeId);
    expect(duty).toMatchObject({ port: 51_900, members: [{ clusterId: id, publicKey: mine.publicKey }] });
    expect(duty?.members[0]?.token).toBe((await told(first))?.relayToken);
    expect((await told(second))?.relayToken).not.toBe(duty?.members[0]?.token);
  });
});

describe('when a machine that only carries workers', () => {
  const whole = async () => {
    const owner = await trial.tenant();
    const agents = await machines(owner, 3);
    const id = await trial.create(owner.tenantId, spec);
    await obey(agents);
    const places = await placesOf(id);
    const of = (nodeId: string | undefined) => agents.find(agent => agent.nodeId === nodeId) as SimulatedAgent;
    const spare = agents.find(({ nodeId }) => !Object.values(places).includes(nodeId)) as SimulatedAgent;
    return { owner, agents, id, head: of(places['head/0']), worker: of(places['w/0']), spare };
  };

  test('goes silent, its workers are replaced elsewhere, and the head goes on', async () => {
    const { agents, id, head, worker, spare } = await whole();
    const before = (await trial.show(id)).leases.find(({ role }) => role === 'head')?.id;
    await trial.database.query(
      `UPDATE nodes SET online = false, last_heartbeat_at = now() - interval '1 h' WHERE id = $1`,
      [worker.nodeId],
    );
    // Only who has listened for long enough knows that it is silent.
    for (let ms = 1_000; ms < 66_000; ms += 3_000) await trial.sweepAfter(ms);
    await obey(agents.filter(agent => agent !== worker));
    expect(await placesOf(id)).toEqual({ 'head/0': head.nodeId, 'w/0': spare.nodeId });
    const shown = await trial.show(id);
    expect(shown.phase).toBe('ready');
    expect(shown.leases.find(({ role }) => role === 'head')?.id).toBe(before);
    expect(shown.network?.members.map(({ nodeId }) => nodeId).sort()).toEqual([head.nodeId, spare.nodeId].sort());
    // An address of the one that has gone is not given out again.
    expect(shown.network?.members.map(({ addresses }) => addresses)).toContain('100.64.3.0/24');
    expect(trial.headLost.has(id)).toBe(false);
  });

  test('is drained, its workers go when their time is over or nothing runs, and come up elsewhere', async () => {
    const { owner, agents, id, head, worker, spare } = await whole();
    trial.activity.set(id, { live: 1, lastEndedAt: null });
    await trial.database.transaction(tx =>
      drainNode(tx, trial.domain.leaseBook, owner, worker.nodeId, { graceSeconds: 60, reason: 'new fans' }),
    );
    await trial.settle();
    expect((await placesOf(id))['w/0']).toBe(worker.nodeId);
    expect(trial.evicted.has(id)).toBe(false);
    const [view] = await trial.domain.clusters.live(trial.database, owner.tenantId);
    expect(view).toMatchObject({ phase: 'ready' });
    trial.activity.set(id, { live: 0, lastEndedAt: new Date() });
    await trial.domain.cluster.handle(id);
    await obey(agents);
    expect(await placesOf(id)).toEqual({ 'head/0': head.nodeId, 'w/0': spare.nodeId });
    await finishDrain(trial.database, trial.domain.leaseBook, worker.nodeId);
    expect((await getNode(trial.database, owner.tenantId, worker.nodeId)).scheduling).toBe('drained');
    trial.activity.delete(id);
  });
});

test('a dry run says that it goes on several machines', async () => {
  const owner = await trial.tenant();
  await machines(owner, 2);
  const wants = [
    { key: 'head/0', cpus: 3, gpus: 0 },
    { key: 'w/0', cpus: 3, gpus: 0 },
  ];
  const explained = await explainPlacement(
    trial.database,
    {
      machines: { enrolled: enrolledMachines } as never,
      activity: { of: async () => new Map() } as never,
      orders: freeOfCharge,
    },
    { tenantId: owner.tenantId, wants, rayVersion: '2.60.0', requirements: {}, whose: null, isUrgent: false },
    Date.now(),
  );
  expect(explained).toMatchObject({ outcome: 'now', message: expect.stringContaining('2 workers on 2 machines') });
});
