/** Very many unlike machines with eight accelerators each and a fresh sample of telemetry: for what scraping costs. */
import type { Queryable } from '../../platform/index.js';

/** Of 100 tenants, in 200 regions of 60 countries, of 80 models: more of each than labels are to have. */
export async function insertScrapedFleet(db: Queryable, machines: number): Promise<void> {
  await db.query(
    `INSERT INTO tenants (id, name) SELECT 'tn_scraped_' || i, 'scraped ' || i FROM generate_series(1, 100) i`,
  );
  await db.query('ALTER TABLE nodes DISABLE TRIGGER nodes_change');
  await db.query(
    `INSERT INTO nodes (id, tenant_id, name, public_key, shared, online, last_heartbeat_at, terms, inventory)
     SELECT 'nd_scraped_' || i, 'tn_scraped_' || 1 + i % 100, 'nd_scraped_' || i, 'nd_scraped_' || i, true, true, now(),
       jsonb_build_object('region', 'region-' || i % 200, 'country', chr(65 + i % 20) || chr(65 + i % 3)),
       jsonb_build_object('devices', (SELECT jsonb_agg(jsonb_build_object('index', d, 'uuid', 'GPU-' || i || '-' || d,
         'vendor', 'nvidia', 'model', 'NVIDIA Model ' || i % 80, 'memoryBytes', 85899345920, 'simulated', false))
         FROM generate_series(0, 7) d))
     FROM generate_series(1, $1) i`,
    [machines],
  );
  await db.query('ALTER TABLE nodes ENABLE TRIGGER nodes_change');
  await db.query(
    `INSERT INTO node_telemetry (node_id, run, sequence, at, machine, devices)
     SELECT id, gen_random_uuid(), 1, now(), $1, (SELECT jsonb_agg($2::jsonb || jsonb_build_object('index', d))
       FROM generate_series(0, 7) d)
     FROM nodes WHERE id LIKE 'nd\\_scraped\\_%'`,
    [JSON.stringify(machine), JSON.stringify(device)],
  );
  await db.query('ANALYZE nodes, node_telemetry');
}

const machine = {
  cpuUsage: 0.513,
  load1: 12.25,
  memoryAvailableBytes: 201_863_462_912,
  diskFreeBytes: 901_863_462_912,
  diskTotalBytes: 1_901_863_462_912,
  receivedBytes: 123_456_789_012,
  sentBytes: 98_765_432_101,
  agentCpuSeconds: 1_234.56,
  agentMemoryBytes: 82_837_504,
};
const device = {
  utilization: 0.97,
  memoryUsedBytes: 71_234_567_890,
  temperatureCelsius: 71,
  powerWatts: 612,
  powerLimitWatts: 700,
  throttled: [],
  eccCorrected: 0,
  eccUncorrected: 0,
  xids: {},
};
