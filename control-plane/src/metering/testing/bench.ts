/** Metering on a PostgreSQL of its own with many leases on record, without the rest of the control plane: for benchmarks. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type LeaseId, newId, type TenantId } from '@iocloud/contracts';
import { authenticator, newApiKeySecret } from '../../accounts/index.js';
import { insertApiKey, insertTenant, insertUser } from '../../accounts/store.js';
import { meteredLeases } from '../../clusters/index.js';
import { meteredMachines } from '../../inventory/index.js';
import { attemptTimes } from '../../jobs/index.js';
import { createLogger, Database, Http, migrate, Signer } from '../../platform/index.js';
import { dueLeases } from '../lines.js';
import { type MeterWiring, meter } from '../meter.js';
import { prometheusSource } from '../prometheus.js';
import { usageRoutes } from '../routes.js';

export { type RunningPrometheus, startPrometheus } from './prometheus.js';

const migrations = new URL('../../../migrations/', import.meta.url);
const devicesOfLease = 10;

export interface TrialMetering {
  database: Database;
  /** host:port of the usage routes. */
  address: string;
  /** Of the owner of all machines, and of an operator. */
  apiKey: string;
  operatorKey: string;
  /** More leases, held and ready since then, each with ten accelerators and six samples an hour of what it uses. */
  addLeases(count: number, since: Date): Promise<LeaseId[]>;
  /** Looks until nothing is due; how many leases were looked at. */
  meterAll(settings: { windowSeconds: number; graceSeconds: number; prometheusUrl?: string }): Promise<number>;
  close(): Promise<void>;
}

export async function openTrialMetering(url: string): Promise<TrialMetering> {
  const log = createLogger('error');
  const database = new Database(url, log);
  await migrate(database, migrations, log);
  const key = async (name: string, role: 'owner' | 'operator') =>
    database.transaction(async tx => {
      const tenant = await insertTenant(tx, name, randomBytes);
      const user = await insertUser(tx, tenant.id, 'someone', role, randomBytes);
      const made = await insertApiKey(tx, user, newApiKeySecret(randomBytes), { name: 'bench' });
      return { tenantId: tenant.id, apiKey: made.secret };
    });
  const [owner, operator] = [await key('owner', 'owner'), await key('operator', 'operator')];
  const ports = { leases: meteredLeases, machines: meteredMachines };
  const http = new Http(authenticator(database, new Signer('a secret of this benchmark')), log);
  usageRoutes(http, { ...ports, database, attempts: attemptTimes });
  await new Promise<void>(ready => http.server.listen(0, '127.0.0.1', ready));
  return {
    database,
    address: `127.0.0.1:${(http.server.address() as AddressInfo).port}`,
    apiKey: owner.apiKey,
    operatorKey: operator.apiKey,
    addLeases: (count, since) => addLeases(database, owner.tenantId, count, since),
    meterAll: async ({ prometheusUrl, ...settings }) => {
      const prometheus = prometheusUrl === undefined ? null : prometheusSource(prometheusUrl);
      const wiring: MeterWiring = { ...ports, ...settings, database, prometheus, onUsage: async () => undefined };
      let looked = 0;
      for (;;) {
        const due = await dueLeases(database, prometheus?.leasesAtOnce ?? 500);
        if (due.length === 0) return looked;
        await meter(wiring, due, { ended: false });
        looked += due.length;
      }
    },
    close: async () => {
      http.server.closeAllConnections();
      http.server.close();
      await database.close();
    },
  };
}

async function addLeases(database: Database, tenantId: TenantId, count: number, since: Date): Promise<LeaseId[]> {
  const ids = (kind: 'node' | 'cluster' | 'lease') => Array.from({ length: count }, () => newId(kind, randomBytes));
  const [nodeIds, clusterIds, leaseIds] = [ids('node'), ids('cluster'), ids('lease') as LeaseId[]];
  const devices = Array.from({ length: devicesOfLease }, (_, index) => ({ index, model: 'H100' }));
  await database.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key, online, inventory, last_heartbeat_at)
     SELECT id, $2, id, id, true, $3, now() FROM unnest($1::text[]) AS t (id)`,
    [nodeIds, tenantId, JSON.stringify({ devices })],
  );
  await database.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
     SELECT id, $2, id, '{}', 'user', 'running', 'ready', '' FROM unnest($1::text[]) AS t (id)`,
    [clusterIds, tenantId],
  );
  await database.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, phase, cpus, memory_bytes, spec,
       created_at, ready_at)
     SELECT id, $4, cluster_id, node_id, 'head', 'head', 0, 'ready', 1, 0, '{}', $5, $5
     FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, cluster_id, node_id)`,
    [leaseIds, clusterIds, nodeIds, tenantId, since],
  );
  await database.query(
    `INSERT INTO lease_devices (lease_id, node_id, device_index)
     SELECT id, node_id, d FROM unnest($1::text[], $2::text[]) AS t (id, node_id), generate_series(0, $3 - 1) d`,
    [leaseIds, nodeIds, devicesOfLease],
  );
  await database.query(
    `INSERT INTO lease_samples (lease_id, run, stretch, at, cpu_ms, mib_seconds, egress_bytes)
     SELECT id, '8f14e45f-ceea-467f-a8e9-3f1c0e4f6a11', s, $2::timestamptz + s * interval '10 minutes', s * 1000, s * 50, s * 7
     FROM unnest($1::text[]) AS t (id), generate_series(1, 6) s`,
    [leaseIds, since],
  );
  return leaseIds;
}
