/** Mega-Ray clusters on real tables and real clusters, on machines whose agents do what the test says. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { ClusterId, MegaCluster, NodeId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { authenticator } from '../accounts/index.js';
import { type SimulatedAgent, Trial } from '../clusters/testing/index.js';
import { Http, Signer } from '../platform/index.js';
import { callWith, type TestKey } from '../test-ground.js';
import { createMega, type MegaDomain } from './index.js';

jest.setTimeout(60_000);

let trial: Trial;
let mega: MegaDomain;
let http: Http;
let address: string;

beforeAll(async () => {
  trial = await Trial.start();
  const { database, ground } = trial;
  const signer = new Signer(randomBytes(32));
  mega = createMega({
    config: { rayVersion: '2.60.0', publicUrl: undefined },
    database,
    cells: trial.domain.cells,
    signals: { send: () => undefined },
    signer,
    random: randomBytes,
    now: () => trial.now(),
  });
  http = new Http(authenticator(database, signer), ground.log);
  mega.routes(http);
  await new Promise<void>(resolve => http.server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await trial?.stop();
});

class World {
  agents: SimulatedAgent[] = [];
  constructor(readonly key: TestKey) {}

  static async of(machines: object[]): Promise<World> {
    const world = new World(await trial.tenant());
    for (const terms of machines) world.agents.push(await placed(world.key.tenantId, terms));
    return world;
  }

  call(method: string, path: string, body?: unknown) {
    return callWith(this.key, method, `${address}/v1/mega-clusters${path}`, body);
  }

  async create(spec: object): Promise<MegaCluster> {
    const { status, body } = await this.call('POST', '', spec);
    expect([status, body]).toEqual([201, expect.objectContaining({ phase: 'pending' })]);
    return body;
  }

  async show(name: string): Promise<MegaCluster> {
    return (await this.call('GET', `/${name}`)).body;
  }

  /** Until nothing changes any more: all goes well on all machines. */
  async settle(name: string): Promise<MegaCluster> {
    for (let round = 0; round < 40; round += 1) {
      const before = JSON.stringify(await this.show(name));
      const { id } = JSON.parse(before);
      await mega.mega.handle(id);
      for (const agent of this.agents) await agent.obey(2);
      await trial.sweep();
      await mega.mega.handle(id);
      if (JSON.stringify(await this.show(name)) === before) return JSON.parse(before);
    }
    throw new Error(`${name} does not come to rest`);
  }
}

async function placed(tenantId: TenantId, terms: object): Promise<SimulatedAgent> {
  const agent = await trial.machine(tenantId);
  await trial.database.query('UPDATE nodes SET terms = $2 WHERE id = $1', [agent.nodeId, JSON.stringify(terms)]);
  return agent;
}

async function machineOf(cluster: ClusterId): Promise<NodeId | undefined> {
  return (await trial.show(cluster)).leases[0]?.nodeId;
}

const names = (of: MegaCluster) => of.cells.map(({ name, health }) => `${name} ${health}`);
const conditions = (of: MegaCluster) => of.conditions.map(({ type, status }) => `${type} ${status}`);
const small = { head: { cpus: 1 } };

describe('a Mega-Ray cluster', () => {
  test('makes its cells, is ready with all of them, and goes with all', async () => {
    const world = await World.of([{}]);
    const made = await world.create({ name: 'first', cells: 3, cell: small });
    expect(names(made)).toEqual(['first-0 starting', 'first-1 starting', 'first-2 starting']);
    const ready = await world.settle('first');
    expect(ready).toMatchObject({ phase: 'ready', readyCells: 3, observedGeneration: 1 });
    expect(conditions(ready)).toEqual(['CellsCreated True', 'CellsReady True', 'UpToDate True']);
    expect(ready.cells.map(({ dashboardPath }) => dashboardPath)).toEqual(
      ready.cells.map(({ clusterId }) => `/clusters/${clusterId}/dashboard/`),
    );
    expect((await trial.show(ready.cells[0]?.clusterId as ClusterId)).megaClusterId).toBe(ready.id);
    expect((await world.call('DELETE', '/first')).status).toBe(200);
    expect(await world.settle(ready.id)).toMatchObject({ phase: 'deleted', cells: [] });
    expect(world.agents[0]?.running.size).toBe(0);
    expect((await world.call('GET', '/first')).status).toBe(404);
  });

  test('replaces a cell that somebody ended', async () => {
    const world = await World.of([{}]);
    await world.create({ name: 'kept', cells: 2, cell: small });
    const before = await world.settle('kept');
    await trial.wish(before.cells[1]?.clusterId as ClusterId, { desired: 'stopped' });
    await mega.mega.handle(before.id);
    expect(await world.show('kept')).toMatchObject({ phase: 'degraded', readyCells: 1 });
    const after = await world.settle('kept');
    expect(names(after)).toEqual(['kept-0 ready', 'kept-1 ready']);
    expect(after.cells[0]?.clusterId).toBe(before.cells[0]?.clusterId);
    expect(after.cells[1]?.clusterId).not.toBe(before.cells[1]?.clusterId);
    expect(await trial.reasons(before.id)).toEqual(
      expect.arrayContaining(['MegaClusterReady', 'MegaClusterDegraded', 'MegaClusterReady']),
    );
  });

  test('scales by cells: up at once, down by the idle ones, whose jobs would have moved first', async () => {
    const world = await World.of([{}]);
    await world.create({ name: 'scaled', cells: 1, cell: small });
    await world.settle('scaled');
    await world.call('PATCH', '/scaled', { cells: 3 });
    const up = await world.settle('scaled');
    expect(up.readyCells).toBe(3);
    const [first, second, third] = up.cells.map(({ clusterId }) => clusterId);
    if (!first || !second || !third) throw new Error('three cells are ready');
    trial.activity.set(second, { live: 2, lastEndedAt: null });
    trial.activity.set(third, { live: 1, lastEndedAt: null });
    await world.call('PATCH', '/scaled', { cells: 1 });
    const leaving = await world.settle('scaled');
    expect(leaving.cells.map(({ name, leaving: why }) => [name, why])).toEqual([
      ['scaled-1', null],
      ['scaled-2', 'one more than is wanted'],
    ]);
    expect(trial.evicted.get(third)).toBe('its cell scaled-2 is one more than is wanted.');
    const views = await trial.domain.clusters.live(trial.database, world.key.tenantId);
    expect(views.map(({ name, headLeaseId }) => [name, headLeaseId !== null])).toEqual([
      ['scaled-1', true],
      ['scaled-2', false],
    ]);
    trial.activity.delete(third);
    expect(names(await world.settle('scaled'))).toEqual(['scaled-1 ready']);
    trial.activity.delete(second);
  });

  test('updates its cells few at a time, and all in the end', async () => {
    const world = await World.of([{}]);
    await world.create({ name: 'rolled', cells: 3, cell: small, maxUnavailable: 1 });
    const before = await world.settle('rolled');
    const { body } = await world.call('PATCH', '/rolled', { cell: { head: { cpus: 2 } } });
    expect(conditions(body)).toContain('UpToDate False');
    expect(body.cells.filter(({ leaving }: { leaving: string | null }) => leaving !== null)).toHaveLength(1);
    const seen: number[] = [];
    let after = before;
    for (let round = 0; round < 60; round += 1) {
      await mega.mega.handle(before.id);
      after = await world.show('rolled');
      seen.push(after.readyCells);
      if (after.readyCells === 3 && after.cells.every(({ upToDate }) => upToDate)) break;
      for (const agent of world.agents) await agent.obey(2);
      await trial.sweep();
    }
    expect(after.cells.every(({ upToDate }) => upToDate)).toBe(true);
    expect(conditions(after)).toEqual(['CellsCreated True', 'CellsReady True', 'UpToDate True']);
    expect(Math.min(...seen)).toBe(2);
    const ids = new Set(before.cells.map(({ clusterId }) => clusterId));
    expect(after.cells.some(({ clusterId }) => ids.has(clusterId))).toBe(false);
  });

  test('lies apart: in other racks while there are such, and not at all where that is required', async () => {
    const racks = [{ domain: 'rack-1' }, { domain: 'rack-1' }, { domain: 'rack-2' }];
    const world = await World.of(racks);
    await world.create({ name: 'spread', cells: 3, cell: small });
    const { cells } = await world.settle('spread');
    const nodes = await Promise.all(cells.map(({ clusterId }) => machineOf(clusterId)));
    const domains = nodes.map(node => racks[world.agents.findIndex(({ nodeId }) => nodeId === node)]?.domain);
    expect(new Set(domains.slice(0, 2)).size).toBe(2);
    expect(nodes).not.toContain(undefined);
    const strict = { by: 'domain', mode: 'required' };
    await world.create({ name: 'strict', cells: 3, cell: small, spread: strict });
    const strictly = await world.settle('strict');
    expect(strictly).toMatchObject({ phase: 'pending', readyCells: 2 });
    expect(strictly.conditions[1]).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/^2 of 3 cells .*another cell of strict is in every domain/),
    });
  });

  test('says why a cell cannot be made, and makes it once it can', async () => {
    const world = await World.of([{}]);
    const taken = await trial.create(world.key.tenantId, { name: 'named-1' });
    await world.create({ name: 'named', cells: 2, cell: small });
    const half = await world.settle('named');
    expect(half.conditions[0]).toMatchObject({ status: 'False', message: expect.stringContaining('named-1 exists') });
    await trial.wish(taken, { desired: 'deleted' });
    expect((await world.settle('named')).readyCells).toBe(2);
  });

  test('is its owner’s alone, and refuses what cannot be', async () => {
    const world = await World.of([{}]);
    await world.create({ name: 'mine', cells: 1, cell: small });
    const { id } = await world.settle('mine');
    const stranger = new World(await trial.tenant());
    for (const reference of [id, 'mine']) {
      expect((await stranger.call('GET', `/${reference}`)).status).toBe(404);
      expect((await stranger.call('PATCH', `/${reference}`, { cells: 0 })).status).toBe(404);
      expect((await stranger.call('DELETE', `/${reference}`)).status).toBe(404);
      expect((await stranger.call('POST', `/${reference}/dashboard-link`)).status).toBe(404);
    }
    expect((await stranger.call('GET', '')).body.items).toEqual([]);
    expect(await mega.show(stranger.key.tenantId, id)).toBeNull();
    const refusals: [object, number][] = [
      [{ name: 'mine', cells: 1 }, 409],
      [{ name: 'mine-0', cells: 1 }, 409],
      [{ name: 'none', cells: 0 }, 400],
      [{ name: 'other', cells: 1, cell: { budgetMicroUsd: 1 } }, 400],
      [{ name: 'other', cells: 1, cell: { requirements: { countries: ['AQ'] } } }, 422],
    ];
    for (const [spec, status] of refusals) {
      const answer = await world.call('POST', '', spec);
      expect([spec, answer.status]).toEqual([spec, status]);
    }
    await expect(trial.create(world.key.tenantId, { name: 'mine' })).rejects.toThrow('a cluster named mine exists');
  });

  test('leads a browser to the index of its dashboards by a link that works once', async () => {
    const world = await World.of([]);
    const { id } = await world.create({ name: 'linked', cells: 1, cell: small });
    const { body } = await world.call('POST', '/linked/dashboard-link');
    const open = () => fetch(body.url, { redirect: 'manual' });
    const first = await open();
    expect([first.status, first.headers.get('location')]).toEqual([303, `/clusters/mega/${id}/`]);
    expect(first.headers.get('set-cookie')).toContain('Path=/clusters');
    expect((await open()).status).toBe(401);
  });
});
