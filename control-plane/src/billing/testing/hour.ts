/** An hour of many leases, ready to be charged: for the benchmark. Rows are made in bulk; holds by the ledger. */
import { randomBytes } from 'node:crypto';
import { newId, type TenantId } from '@iocloud/contracts';
import { creditEntries, holdEntries } from '../../core/billing/index.js';
import { post } from '../../ledger/post.js';
import { createLogger, Database, migrate } from '../../platform/index.js';
import { BillingTrial } from './index.js';

const migrations = new URL('../../../migrations/', import.meta.url);
export const devicesOfLease = 10;
const leasesOfCluster = 8;
const batch = 1_000;

export interface TrialHour {
  database: Database;
  /** Closes a window of an hour of every lease: one usage line each. */
  meter(windowStart: Date): Promise<void>;
  /** Charges every line. */
  charge(): Promise<void>;
  check(): ReturnType<BillingTrial['check']>;
  close(): Promise<void>;
}

/** Renters that pay in USDC and suppliers, a hundredth as many as leases of each, at least ten. */
export async function openTrialHour(url: string, leases: number): Promise<TrialHour> {
  const database = new Database(url, createLogger('error'), 8);
  await migrate(database, migrations, createLogger('error'));
  const trial = new BillingTrial(database);
  const people = Math.max(10, Math.floor(leases / 100));
  const tenants = (count: number) => Array.from({ length: count }, () => newId('tenant', randomBytes));
  const [renters, suppliers] = [tenants(people), tenants(people)];
  await database.query('INSERT INTO tenants (id, name) SELECT id, id FROM unnest($1::text[]) AS t (id)', [
    [...renters, ...suppliers],
  ]);
  await database.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key) SELECT 'nd_' || n, t, 'nd_' || n, 'key ' || n
     FROM unnest($1::text[]) WITH ORDINALITY AS s (t, n)`,
    [suppliers],
  );
  const clusters = Math.ceil(leases / leasesOfCluster);
  const renterOf = (cluster: number) => renters[cluster % people] as TenantId;
  await database.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
     SELECT 'cl_' || n, ($1::text[])[1 + n % $2::int], 'cl_' || n, '{}', 'user', 'running', 'ready', ''
     FROM generate_series(0, $3::int - 1) AS n`,
    [renters, people, clusters],
  );
  await database.query(
    `INSERT INTO orders (id, tenant_id, cluster_id, asset, opened_at)
     SELECT id, tenant_id, id, 'USDC', now() FROM clusters`,
  );
  const amount = 10n ** 9n;
  const posted = async (drafts: Parameters<typeof post>[1]) => {
    for (let from = 0; from < drafts.length; from += batch) {
      await database.transaction(tx => post(tx, drafts.slice(from, from + batch)));
    }
  };
  const shared = { asked: [], memo: 'benchmark', detail: {}, actor: 'benchmark' };
  await posted(
    renters.map(id => {
      return { ...shared, key: `credit:${id}`, kind: 'credit', entries: creditEntries(id, 'USDC', 10n ** 13n) };
    }),
  );
  await posted(
    Array.from({ length: clusters }, (_, index) => {
      const terms = { reference: `cl_${index}`, tenantId: renterOf(index), asset: 'USDC' as const };
      return { ...shared, key: `hold:cl_${index}`, kind: 'hold' as const, entries: holdEntries(terms, amount) };
    }),
  );
  await database.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec, phase,
       micro_usd_per_hour, order_id)
     SELECT 'le_' || n, c.tenant_id, c.id, 'nd_' || 1 + n % $2::int, 'worker', 'g', n, 1, 1, '{}', 'ready',
       $3::int * (1000000 + n % 100000), c.id
     FROM generate_series(0, $1::int - 1) AS n JOIN clusters c ON c.id = 'cl_' || n / $4::int`,
    [leases, people, devicesOfLease, leasesOfCluster],
  );
  await database.query('ANALYZE');
  return {
    database,
    meter: async windowStart => {
      await database.query(
        `INSERT INTO usage_lines (lease_id, window_start, window_seconds, revision, billable_ms, allocated_ms,
           device_billable_ms, device_allocated_ms, cpu_ms, mib_seconds, egress_bytes, evidence)
         SELECT id, $1, 3600, 0, 3600000 - ordinal % 60000, 3600000, $2::int * (3600000 - ordinal % 60000), $2::int * 3600000, 0, 0, 0,
           '{"rule": "benchmark"}' FROM leases`,
        [windowStart, devicesOfLease],
      );
    },
    charge: () => trial.charge(),
    check: () => trial.check(),
    close: () => database.close(),
  };
}
