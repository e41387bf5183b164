/** Very many machines for an hour of emission: for the benchmark. */
import type { Database } from '../../platform/index.js';

/**
 * Shared machines of eight accelerators each, spread over so many suppliers, online, with their least stake, and a third party's on
 * each tenth. The ledger has no such stakes: an hour of emission does not look at them there.
 */
export async function insertFleet(db: Database, machines: number, suppliers: number): Promise<void> {
  await db.query(
    `INSERT INTO tenants (id, name) SELECT 'tn_fleet_' || i, 'fleet ' || i FROM generate_series(1, $1) i`,
    [suppliers],
  );
  await db.query('ALTER TABLE nodes DISABLE TRIGGER nodes_change');
  await db.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key, shared, online, last_heartbeat_at, inventory)
     SELECT 'nd_fleet_' || i, 'tn_fleet_' || 1 + i % $2, 'nd_fleet_' || i, 'nd_fleet_' || i, true, true, now(),
       jsonb_build_object('devices', (SELECT jsonb_agg(jsonb_build_object('index', d, 'uuid', 'GPU-' || d,
         'vendor', 'nvidia', 'model', 'NVIDIA A100-SXM4-80GB', 'memoryBytes', 85899345920, 'simulated', false))
         FROM generate_series(0, 7) d))
     FROM generate_series(1, $1) i`,
    [machines, suppliers],
  );
  await db.query(`INSERT INTO node_heartbeats (node_id, at) SELECT id, '2100-01-01' FROM nodes`);
  await db.query(`INSERT INTO token_stakes (node_id, staker_id, amount) SELECT id, tenant_id, 160000000000 FROM nodes`);
  await db.query(
    `INSERT INTO token_stakes (node_id, staker_id, amount)
     SELECT 'nd_fleet_' || i, 'tn_fleet_' || 1 + (i + 1) % $2, 10000000000 FROM generate_series(10, $1, 10) i`,
    [machines, suppliers],
  );
  await db.query('ANALYZE');
}

/** All accelerators have proven themselves in this hour. */
export async function insertProofs(db: Database, hour: Date): Promise<void> {
  await db.query(
    `INSERT INTO verifications (id, node_id, tenant_id, device_index, device_uuid, device_model, hour, due_at, state,
       verdict, judged_at)
     SELECT n.id || $1 || d, n.id, n.tenant_id, d, 'GPU-' || d, 'NVIDIA A100-SXM4-80GB', $1::timestamptz, $1::timestamptz,
       'judged', 'passed', $1::timestamptz FROM nodes n, generate_series(0, 7) d`,
    [hour.toISOString()],
  );
}
