/** Other tenants' code goes only where containers keep it apart, or where the machine's owner allows plain processes. */
import type { ClusterId, NodeId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { freeOfCharge } from '../billing/index.js';
import type { Machines } from '../inventory/index.js';
import { enrolledMachines } from '../inventory/store.js';
import { explainPlacement } from './explain.js';
import type { ClusterActivity } from './ports.js';
import { Trial } from './testing/index.js';

jest.setTimeout(60_000);

let trial: Trial;
let owner: TenantId;
let renter: TenantId;
beforeAll(async () => {
  trial = await Trial.start();
});
afterAll(() => trial?.stop());
beforeEach(async () => {
  await trial.database.query('UPDATE nodes SET removed_at = now()');
  [owner, renter] = [(await trial.tenant()).tenantId, (await trial.tenant()).tenantId];
});

const allow = (nodeId: NodeId, plainProcesses: boolean) =>
  trial.database.query('UPDATE nodes SET eligible = true, terms = terms || $2 WHERE id = $1', [
    nodeId,
    JSON.stringify({ plainProcesses }),
  ]);
const wanted = (tenantId: TenantId) => trial.create(tenantId, { name: 'any', head: { cpus: 1 } });
const placed = async (id: ClusterId) =>
  (await trial.show(id)).conditions.find(({ type }) => type === 'Placed') ?? { status: 'none', message: '' };
const told = async (nodeId: NodeId) => (await trial.domain.leaseBook.desired(nodeId)).leases;

const explained = (tenantId: TenantId) => {
  const wants = [{ key: 'head/0', cpus: 1, gpus: 0 }];
  const dryRun = { tenantId, wants, rayVersion: '2.60.0', requirements: {}, whose: null, isUrgent: false };
  const machines = { enrolled: enrolledMachines } as Pick<Machines, 'enrolled'> as Machines;
  const activity = { of: async () => new Map() } as Pick<ClusterActivity, 'of'> as ClusterActivity;
  return explainPlacement(trial.database, { machines, activity, orders: freeOfCharge }, dryRun, Date.now());
};

test('a machine of plain processes is its owner’s alone until the owner allows others there', async () => {
  const { nodeId } = await trial.machine(owner, { isolation: 'namespace' }, true);
  await allow(nodeId, false);
  const waiting = await wanted(renter);
  expect((await placed(waiting)).status).toBe('False');
  const why = await explained(renter);
  expect(why).toMatchObject({ outcome: 'never', message: expect.stringContaining('0 of 1 machines keep others') });
  expect(why.constraints[0]).toEqual({ constraint: expect.stringContaining('in containers'), machines: 0 });
  expect(await told(nodeId)).toEqual([]);
  expect((await explained(owner)).outcome).toBe('now');
  const own = await wanted(owner);
  expect((await placed(own)).status).toBe('True');
  expect(await told(nodeId)).toEqual([expect.objectContaining({ clusterId: own, contained: false })]);

  await allow(nodeId, true);
  await trial.domain.cluster.handle(waiting);
  expect((await placed(waiting)).status).toBe('True');
  expect((await told(nodeId)).map(({ contained }) => contained)).toEqual([false, false]);
});

test('one that runs containers takes others’ work, and is told that it is to be in one', async () => {
  const { nodeId } = await trial.machine(owner, { isolation: 'container' }, true);
  await allow(nodeId, false);
  const id = await wanted(renter);
  expect((await placed(id)).status).toBe('True');
  expect(await told(nodeId)).toEqual([expect.objectContaining({ clusterId: id, contained: true })]);
});
