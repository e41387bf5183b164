/**
 * (a) The close of an hour: a usage line for each lease, of ten accelerators each, becomes a charge and its postings.
 * At several sizes, each on a PostgreSQL of its own. The peer is that PostgreSQL's own COPY of the same rows of
 * transactions, postings and charges into tables with the same indexes and constraints, without triggers. Ends with the
 * checker: every balance and every charge computed anew.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '@iocloud/cli';
import { devicesOfLease, openTrialHour, type TrialHour } from '@iocloud/control-plane/billing/testing';
import { report } from './measure.js';

const { values: options } = parseArgs({ options: { leases: { type: 'string', default: '5000,10000,20000' } } });

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
};

const tables = ['ledger_transactions', 'ledger_postings', 'usage_charges'];

/** Through files that the server itself writes and reads. */
async function copied({ database }: TrialHour, directory: string): Promise<number> {
  for (const table of tables) {
    await database.query(`COPY ${table} TO '${join(directory, table)}' WITH (FORMAT binary)`);
    await database.query(`CREATE TABLE raw_${table} (LIKE ${table} INCLUDING ALL)`);
  }
  return seconds(async () => {
    for (const table of tables) {
      await database.query(`COPY raw_${table} FROM '${join(directory, table)}' WITH (FORMAT binary)`);
    }
  });
}

async function measured(leases: number) {
  const directory = await mkdtemp(join(tmpdir(), 'iocloud-hour-bench-'));
  const server = await startPostgres({ dataDir: join(directory, 'postgres') });
  const hour = await openTrialHour(server.url, leases);
  try {
    const metering = await seconds(() => hour.meter(new Date('2026-11-20T10:00:00Z')));
    const charging = await seconds(() => hour.charge());
    const { rows } = await hour.database.query<{ charges: number; transactions: number; postings: number }>(
      `SELECT (SELECT count(*) FROM usage_charges WHERE transaction_id IS NOT NULL) AS charges,
         (SELECT count(*) FROM ledger_transactions) AS transactions, (SELECT count(*) FROM ledger_postings) AS postings`,
    );
    const counts = rows[0] ?? { charges: 0, transactions: 0, postings: 0 };
    if (counts.charges !== leases) throw new Error(`${counts.charges} of ${leases} lines were paid`);
    let check: Awaited<ReturnType<TrialHour['check']>> | undefined;
    const checking = await seconds(async () => {
      check = await hour.check();
    });
    if (!check?.clean) throw new Error(`the books do not agree: ${JSON.stringify(check?.differences.slice(0, 3))}`);
    const files = join(directory, 'files');
    await mkdir(files);
    const copying = await copied(hour, files);
    return {
      leases,
      accelerators: leases * devicesOfLease,
      linesInSeconds: metering,
      chargedSeconds: charging,
      closedSeconds: metering + charging,
      linesPerSecond: leases / charging,
      postings: counts.postings,
      copySeconds: copying,
      ratioToCopy: copying / charging,
      checkedSeconds: checking,
    };
  } finally {
    await hour.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

const sizes = [];
for (const leases of options.leases.split(',').map(Number)) sizes.push(await measured(leases));
report('hour-close', {
  peer: 'COPY of the same rows into tables with the same indexes, without triggers',
  aim: '1,000,000 accelerators in 100,000 leases < 60 s',
  sizes,
  loadAverage: loadavg()[0],
  cpus: cpus().length,
});
