/** Prices of hours, on a real database with machines and leases on record. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { ClusterId, NodeId, PriceVersion } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { authenticator } from '../accounts/index.js';
import { pricedLeases } from '../clusters/index.js';
import { Trial } from '../clusters/testing/index.js';
import { defaultTerms } from '../core/pricing/index.js';
import { pricedMachines } from '../inventory/index.js';
import { readMachines, removeNode } from '../inventory/store.js';
import { Http, Signer } from '../platform/index.js';
import type { TestKey } from '../test-ground.js';
import { applyTerms, type HoursWiring, makeNextHour } from './hours.js';
import { priceRoutes } from './index.js';
import { look, type Oracle, sourceOf } from './io-rate/index.js';
import { forgetQuotes } from './quotes.js';
import { newestVersions, versionsOf } from './store.js';

let trial: Trial;
let owner: TestKey;
let http: Http;
let base: string;
const oracle = { guards: { minSources: 2, maxAgeMs: 60_000, maxDeviationPpm: 20_000 }, nowMs: () => quoteClockMs };
let quoteClockMs = Date.now();
const hourMs = 3_600_000;
/** The beginning of the running hour: hours of tests lie around it, each test's after those before. */
let hour = Math.floor(Date.now() / hourMs) * hourMs;
const model = 'a100-80-sxm';
const device = (index: number) => ({
  index,
  uuid: `GPU-${index}`,
  vendor: 'nvidia' as const,
  model: 'NVIDIA A100-SXM4-80GB',
  memoryBytes: 80 * 2 ** 30,
  simulated: false,
});

beforeAll(async () => {
  trial = await Trial.start();
  owner = await trial.tenant();
  http = new Http(authenticator(trial.database, new Signer('a secret of this test')), trial.ground.log);
  priceRoutes(http, { database: trial.database, random: randomBytes, now: () => new Date(quoteClockMs), oracle });
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`;
  await trial.database.transaction(tx => applyTerms(tx, defaultTerms, pricedMachines));
}, 60_000);
afterAll(async () => {
  http?.server.closeAllConnections();
  http?.server.close();
  await trial?.stop();
});
beforeEach(async () => {
  await trial.database.query(`UPDATE nodes SET removed_at = created_at WHERE removed_at IS NULL`);
});

const wiring = (atMs: number): HoursWiring => ({
  database: trial.database,
  machines: pricedMachines,
  leases: pricedLeases,
  now: async () => new Date(atMs),
});
async function makeAll(atMs: number): Promise<number> {
  let made = 0;
  while (await makeNextHour(wiring(atMs))) made += 1;
  return made;
}
const price = async (name = model): Promise<PriceVersion> => {
  const version = (await newestVersions(trial.database)).find(each => each.model === name);
  if (!version) throw new Error(`${name} has no price`);
  return version;
};
/** A machine of eight A100s that is offered since long before. */
async function machine(): Promise<NodeId> {
  const agent = await trial.machine(owner.tenantId, { devices: Array.from({ length: 8 }, (_, i) => device(i)) }, true);
  await trial.database.query(
    `UPDATE nodes SET created_at = now() - interval '400 days', eligible = true WHERE id = $1`,
    [agent.nodeId],
  );
  return agent.nodeId;
}
/** A cluster that holds so many accelerators there from then on, for so long. */
async function hold(nodeId: NodeId, gpus: number, fromMs: number, untilMs: number | null): Promise<ClusterId> {
  const id = await trial.create(owner.tenantId, {
    name: `h${gpus}-${fromMs}-${nodeId.slice(-4)}`,
    head: { cpus: 1, gpus },
  });
  await trial.database.query('UPDATE leases SET created_at = $2, released_at = $3 WHERE cluster_id = $1', [
    id,
    new Date(fromMs),
    untilMs === null ? null : new Date(untilMs),
  ]);
  await trial.database.query(
    `UPDATE lease_devices SET released = $2 WHERE lease_id IN (SELECT id FROM leases WHERE cluster_id = $1)`,
    [id, untilMs !== null],
  );
  return id;
}

test('the first price starts at the base, each hour has one version, and a second look makes none', async () => {
  expect(await makeAll(hour + 1_000)).toBe(1);
  expect(await price()).toMatchObject({
    id: `${model}@${new Date(hour).toISOString().slice(0, 13)}Z`,
    microUsdPerGpuHour: 950_000,
    utilisationPpm: null,
    validUntil: new Date(hour + hourMs).toISOString(),
  });
  expect(await makeAll(hour + hourMs - 1)).toBe(0);
  expect((await newestVersions(trial.database)).map(each => each.model)).toEqual(
    Object.keys(defaultTerms.baseMicroUsdPerHour).sort(),
  );
});

test('replicas that look at the same time make each hour once', async () => {
  hour += hourMs;
  const made = await Promise.all(Array.from({ length: 8 }, () => makeNextHour(wiring(hour))));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(await versionsOf(trial.database, model, null, 100)).toHaveLength(2);
});

test('what was leased of what was offered moves the price; private machines and other models count for nothing', async () => {
  hour += hourMs;
  const nodeId = await machine();
  await hold(nodeId, 6, hour - 2 * hourMs, null);
  // Half of the hour, on two accelerators: in all 7 of 8 device-hours.
  await hold(nodeId, 2, hour - hourMs / 2, null);
  const own = await trial.machine(owner.tenantId, { devices: [device(0)] });
  await trial.database.query(`UPDATE nodes SET created_at = now() - interval '9 days' WHERE id = $1`, [own.nodeId]);
  await makeAll(hour);
  const version = await price();
  expect(version).toMatchObject({ offeredDeviceSeconds: 28_800, usedDeviceSeconds: 25_200, utilisationPpm: 875_000 });
  // 950,000 · (1 + 0.263158 · 0.175 / 0.3) = 1,095,833 (rounded); a quarter of 145,833, rounded up.
  expect(version).toMatchObject({ beforeMicroUsd: 950_000, aimMicroUsd: 1_095_833, microUsdPerGpuHour: 986_459 });
  expect(await price('a100-40-sxm')).toMatchObject({ utilisationPpm: null, microUsdPerGpuHour: 950_000 });
});

test('hours that nobody was there for are made up for, one by one, from what was leased then', async () => {
  const nodeId = await machine();
  await hold(nodeId, 8, hour, hour + 2 * hourMs);
  hour += 5 * hourMs;
  expect(await makeNextHour(wiring(hour))).toBe(true);
  // It may be killed after any of them: whoever comes next goes on from there.
  expect(await makeAll(hour)).toBe(4);
  const versions = (await versionsOf(trial.database, model, null, 5)).reverse();
  expect(versions.map(version => version.utilisationPpm)).toEqual([1_000_000, 1_000_000, 0, 0, 0]);
  for (const [index, version] of versions.slice(1).entries()) {
    expect(version.validFrom).toBe(versions[index]?.validUntil);
    expect(version.beforeMicroUsd).toBe(versions[index]?.microUsdPerGpuHour);
  }
});

test('a machine that went away offers until it was heard last', async () => {
  const nodeId = await machine();
  await trial.database.query('UPDATE nodes SET online = false, last_heartbeat_at = $2 WHERE id = $1', [
    nodeId,
    new Date(hour + hourMs / 4),
  ]);
  hour += hourMs;
  await makeAll(hour);
  expect(await price()).toMatchObject({ offeredDeviceSeconds: 7_200 });
});

test('a machine that was removed while it was online offers until then', async () => {
  const nodeId = await machine();
  const { rows } = await trial.database.query('SELECT tenant_id FROM nodes WHERE id = $1', [nodeId]);
  // It came online long before it is removed, and each heartbeat is told elsewhere than in its row.
  await trial.database.query(`UPDATE nodes SET last_heartbeat_at = now() - interval '1 day' WHERE id = $1`, [nodeId]);
  await trial.database.transaction(tx => removeNode(tx, rows[0]?.tenant_id, nodeId));
  const { rows: removed } = await trial.database.query(
    "SELECT removed_at - last_heartbeat_at < interval '1 minute' AS lately FROM nodes WHERE id = $1",
    [nodeId],
  );
  expect(removed).toEqual([{ lately: true }]);
});

test('the database refuses to change or delete a version, and a gap or an overlap', async () => {
  const refused = (sql: string, values: unknown[] = []) => expect(trial.database.query(sql, values)).rejects;
  await refused('UPDATE price_versions SET micro_usd_per_gpu_hour = 1').toThrow('never changed or deleted');
  await refused('DELETE FROM price_versions').toThrow('never changed or deleted');
  await refused('TRUNCATE price_versions').toThrow('never changed or deleted');
  const insert = `INSERT INTO price_versions SELECT $1, model, $2, $3, 1, 1, 1, 1, 0, 0, curve FROM price_versions
                  WHERE model = '${model}' ORDER BY valid_from DESC LIMIT 1`;
  const at = (hours: number) => new Date(hour + hours * hourMs);
  await refused(insert, ['gap', at(2), at(3)]).toThrow('would leave a gap');
  await refused(insert, ['twice', at(0), at(1)]).toThrow('unique');
  await refused(insert, ['early', at(-900), at(-899)]).toThrow('begins later');
  await refused(insert, ['long', at(1), at(3)]).toThrow('check constraint');
  await refused(insert, ['askew', at(0.5), at(1.5)]).toThrow('check constraint');
});

test('a machine that takes the market price costs it, with its factors, and never less than its own', async () => {
  const nodeId = await machine();
  const terms = async (stated: object) => {
    await trial.database.query('UPDATE nodes SET terms = $2 WHERE id = $1', [nodeId, JSON.stringify(stated)]);
    return (await readMachines(trial.database, [nodeId]))[0]?.terms.microUsdPerGpuHour;
  };
  const { microUsdPerGpuHour } = await price();
  expect(await terms({})).toBe(0);
  expect(await terms({ gpuPricing: 'market', connectivity: 'medium' })).toBe(microUsdPerGpuHour);
  expect(await terms({ gpuPricing: 'market', connectivity: 'ultra', compliance: ['gdpr'] })).toBe(
    Math.round((microUsdPerGpuHour * 1.1 * 1.02 * 1e6) / 1e6),
  );
  expect(await terms({ gpuPricing: 'market', microUsdPerGpuHour: 9_000_000 })).toBe(9_000_000);
});

test('a lease gets the price of the version in force, and placement hears of a new one', async () => {
  const nodeId = await machine();
  await trial.database.query('UPDATE nodes SET terms = $2 WHERE id = $1', [
    nodeId,
    JSON.stringify({ gpuPricing: 'market', connectivity: 'medium' }),
  ]);
  const { id: version, microUsdPerGpuHour } = await price();
  const id = await trial.create(owner.tenantId, { name: 'at-market', head: { cpus: 1, gpus: 2 } });
  expect(await trial.show(id)).toMatchObject({ microUsdPerHour: 2 * microUsdPerGpuHour });
  const { rows: leases } = await trial.database.query('SELECT price_basis FROM leases WHERE cluster_id = $1', [id]);
  expect(leases.map(lease => lease.price_basis)).toEqual([
    {
      microUsdPerCpuHour: 0,
      microUsdPerGpuHour,
      ownMicroUsdPerGpuHour: 0,
      market: {
        versions: [{ id: version, microUsdPerGpuHour }],
        factors: [{ reason: 'connectivity medium', ppm: 1_000_000 }],
      },
      cpus: 1,
      gpus: 2,
    },
  ]);
  await trial.database.query('DELETE FROM machine_changes');
  hour += hourMs;
  await makeAll(hour);
  const { rows } = await trial.database.query('SELECT node_id FROM machine_changes');
  expect(rows).toEqual([{ node_id: nodeId }]);
  // What is leased goes on at its price.
  expect(await trial.show(id)).toMatchObject({ microUsdPerHour: 2 * microUsdPerGpuHour });
});

test('any key reads prices, page by page, and bad input is refused', async () => {
  const get = async (path: string, key = owner.apiKey) => {
    const response = await fetch(`${base}${path}`, { headers: { authorization: `Bearer ${key}` } });
    // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
    return { status: response.status, body: (await response.json()) as any };
  };
  const { body } = await get('/v1/prices');
  expect(body.items).toHaveLength(4);
  const seen: PriceVersion[] = [];
  for (let after = ''; ; ) {
    const page = await get(`/v1/prices/${model}/versions?limit=4${after}`);
    seen.push(...page.body.items);
    if (page.body.next === null) break;
    after = `&after=${page.body.next}`;
  }
  expect(seen).toEqual(await versionsOf(trial.database, model, null, 1_000));
  expect((await get('/v1/prices', 'nobody')).status).toBe(401);
  expect((await get(`/v1/prices/${model}/versions?after=yesterday`)).status).toBe(400);
  expect((await get('/v1/prices/A%20B/versions')).status).toBe(400);
});

/** A call for `POST /v1/quotes` and `GET /v1/quotes/{id}`. */
async function quotes(path: string, body?: object, key = owner.apiKey) {
  const response = await fetch(`${base}/v1/quotes${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  return { status: response.status, body: (await response.json()) as any };
}

test('a quote says what an order would cost and from which version, and is read by its tenant until it is over', async () => {
  const [sxm, cheapest] = [await price(), await price('a100-40-pcie')];
  const requirements = { accelerators: ['A100'], minDeviceMemoryBytes: 70 * 2 ** 30, compliance: ['soc2'] };
  const order = { requirements, gpus: 8, hours: 30, commitmentHours: 24 };
  const { status, body } = await quotes('', order);
  expect(status).toBe(201);
  const [first, second] = [sxm, await price('a100-80-pcie')].sort(
    (a, b) => a.microUsdPerGpuHour - b.microUsdPerGpuHour,
  );
  const perGpu = (market: number) => Number((BigInt(market) * 1_050_000n * 970_000n + 5n * 10n ** 11n) / 10n ** 12n);
  expect(body).toMatchObject({
    model: first?.model,
    priceVersionId: first?.id,
    marketMicroUsd: first?.microUsdPerGpuHour,
    factors: [
      { reason: 'certificate soc2', ppm: 1_050_000 },
      { reason: 'commitment of 24 h', ppm: 970_000 },
    ],
    microUsdPerGpuHour: perGpu(first?.microUsdPerGpuHour ?? 0),
    microUsdPerHour: 8 * body.microUsdPerGpuHour,
    totalMicroUsd: 240 * body.microUsdPerGpuHour,
    alternatives: [{ model: second?.model, microUsdPerGpuHour: perGpu(second?.microUsdPerGpuHour ?? 0) }],
  });
  expect(body.io).toBeNull();
  const asked: Oracle = {
    ...oracle,
    sources: ['a', 'b'].map(name => sourceOf({ kind: 'fixed', name, usdPerIo: '0.15' }, oracle.nowMs)),
  };
  await look(trial.database, asked);
  const inIo = (await quotes('', order)).body;
  expect(inIo.io).toMatchObject({
    usdPerIo: '0.15',
    // Micro-USD over 0.15 USD, in units of 10⁻⁸, rounded up.
    units: String((BigInt(inIo.totalMicroUsd) * 100_000n + 149n) / 150n),
  });
  expect((await quotes('', { hours: 1, spot: true })).body).toMatchObject({
    marketMicroUsd: Math.min(sxm.microUsdPerGpuHour, cheapest.microUsdPerGpuHour),
    factors: [{ reason: 'spot', ppm: 600_000 }],
  });

  expect((await quotes(`/${body.id}`)).body).toEqual(body);
  expect((await quotes(`/${body.id}`, undefined, (await trial.tenant()).apiKey)).status).toBe(404);
  quoteClockMs = Date.parse(body.validUntil);
  expect((await quotes(`/${body.id}`)).status).toBe(404);
  await forgetQuotes(trial.database, new Date(quoteClockMs));
  expect((await trial.database.query('SELECT 1 FROM quotes')).rows).toEqual([]);
});

test.each([
  ['no model with a market', { hours: 1, requirements: { accelerators: ['H100'] } }, 422, 'has a market price'],
  ['none so cheap', { hours: 1, requirements: { maxMicroUsdPerHour: 5 } }, 422, 'more than the 5 asked for'],
  ['more committed than ordered', { hours: 1, commitmentHours: 2 }, 400, 'committed'],
  ['nothing', {}, 400, 'hours'],
  ['half an hour', { hours: 0.5 }, 400, 'hours'],
  ['more than can be told exactly', { hours: 87_600, gpus: 1_000_000 }, 400, 'too large'],
])('an order of %s is refused with the reason', async (_name, order, status, why) => {
  const answer = await quotes('', order);
  expect([answer.status, JSON.stringify(answer.body)]).toEqual([status, expect.stringContaining(why)]);
});

test('a tenant has so many valid quotes at most', async () => {
  const one = (await quotes('', { hours: 1 })).body;
  await trial.database.query(`INSERT INTO quotes SELECT 'q' || n, $1, '{}', $2 FROM generate_series(2, 1000) n`, [
    owner.tenantId,
    one.validUntil,
  ]);
  expect(await quotes('', { hours: 1 })).toMatchObject({ status: 429 });
  expect((await quotes('', { hours: 1 }, (await trial.tenant()).apiKey)).status).toBe(201);
});
