/**
 * Refund of unused escrow: from the moment at which the last machine of a prepaid cluster confirms that nothing of it runs
 * until its last usage is charged and the rest of its hold is back. Real Ray, a real agent, the whole system; all times from the
 * database. The limit beside it is a second.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '@iocloud/cli';
import pg from 'pg';
import { Stack, until } from '../src/harness/index.js';
import { median, report } from './measure.js';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const limitMs = 1_000;
const accelerator = { vendor: 'nvidia' as const, model: 'NVIDIA A100-SXM4-80GB', memoryBytes: 80 * 2 ** 30, count: 1 };

const dataDir = await mkdtemp(join(tmpdir(), 'iocloud-refund-'));
const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres') });
const database = new pg.Pool({ connectionString: postgres.url });
// Goes with its server.
database.on('error', () => undefined);
// Suppliers are paid in IO: without its price nothing is charged.
const home = join(dataDir, 'home');
await mkdir(join(home, 'data'), { recursive: true });
await writeFile(join(home, 'data', 'io-rate.json'), JSON.stringify({ usdPerIo: '1.85' }));
const env = { IOCLOUD_BILLING: 'prepaid', IOCLOUD_VERIFICATION: 'off', IOCLOUD_NODE_CPUS: '1' };
const stack = await Stack.start({ home, env: { ...env, DATABASE_URL: postgres.url } });
try {
  const tenant = async (name: string) => (await stack.call('POST', '/v1/tenants', { name })).body;
  const [renter, supplier] = [await tenant('renter'), await tenant('supplier')];
  const as = ({ apiKey }: { apiKey: { secret: string } }) => ({ authorization: `Bearer ${apiKey.secret}` });
  const machine = await stack.machine('supplied', {
    cpus: 2,
    shared: true,
    simulatedDevices: [accelerator],
    ownerKey: supplier.apiKey.secret,
  });
  const terms = { microUsdPerGpuHour: 1_234_567, plainProcesses: true };
  await stack.call('PATCH', `/v1/nodes/${machine.id}/terms`, terms, as(supplier));
  const money = { tenantId: renter.tenant.id, asset: 'USD', amount: '100', reason: 'a benchmark' };
  const credited = await stack.call('POST', '/v1/ledger/credits', money, { 'idempotency-key': 'money' });
  if (credited.status !== 201)
    throw new Error(`the credit answered ${credited.status}: ${JSON.stringify(credited.body)}`);

  const refundMs: number[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    const spec = { name: `round-${round}`, head: { cpus: 1, gpus: 1 } };
    const { body } = await stack.call('POST', '/v1/clusters', spec, as(renter));
    const path = `/v1/clusters/${body.id}`;
    await until('it is ready', 90_000, async () => {
      const { phase } = (await stack.call('GET', path, undefined, as(renter))).body;
      return phase === 'ready';
    });
    await stack.call('DELETE', path, undefined, as(renter));
    const ended = await until('its order is closed', 60_000, async () => {
      const { rows } = await database.query<{ ms: string; charged: string }>(
        `SELECT extract(epoch FROM o.closed_at - max(l.released_at)) * 1000 AS ms, sum(c.cost_micro_usd)::text AS charged
         FROM orders o JOIN leases l ON l.order_id = o.id JOIN usage_lines u ON u.lease_id = l.id
         JOIN usage_charges c ON c.usage_line_id = u.id WHERE o.cluster_id = $1 AND o.closed_at IS NOT NULL GROUP BY o.id`,
        [body.id],
      );
      return rows[0];
    });
    if (Number(ended.charged) <= 0) throw new Error('nothing was charged before the rest went back');
    refundMs.push(Number(ended.ms));
  }
  report('refund', {
    peer: 'the limit: a second after the last machine has confirmed the end',
    rounds: refundMs.length,
    medianMs: median(refundMs),
    maxMs: Math.max(...refundMs),
    limitMs,
    ratio: Math.max(...refundMs) / limitMs,
    aim: '<= 1',
    refundMs,
  });
} finally {
  await stack.stop();
  await database.end();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}
