/** Machines and accelerators by state, read from the database; connections, logins and streams of this process. */
import type { Duplex } from 'node:stream';
import type { StreamRequest } from '@iocloud/contracts';
import { counter, gauge, mostFrequent, type Queryable, type StateSource, setAll } from '../platform/index.js';
import { StreamRefused } from './ports.js';

const nodes = gauge('iocloud_nodes', 'Enrolled machines', ['state', 'scheduling', 'region']);
const unproven = gauge('iocloud_nodes_unproven', 'Online machines that have yet to prove what they are', ['region']);
const byCountry = gauge('iocloud_nodes_by_country', 'Enrolled machines, by country', ['state', 'country']);
const devices = gauge('iocloud_devices', 'Accelerators', ['state', 'model']);

export const connections = gauge('iocloud_agent_connections', 'Agents that are connected to this replica');
export const loginsWaiting = gauge('iocloud_ssh_logins_waiting', 'Connections whose login waits for its turn');
export const logins = counter('iocloud_ssh_logins_total', 'SSH connections that logged in or ended without', [
  'peer',
  'result',
]);
const streams = counter('iocloud_agent_streams_total', 'Streams that were asked of agents', ['kind', 'result']);
const streamsOpen = gauge('iocloud_agent_streams_open', 'Streams through tunnels that are open', ['kind']);

const mostRegions = 30;
const mostModels = 20;

/** Counts a stream that is being opened, and for how long it is. */
export async function countStream({ kind }: StreamRequest, opening: Promise<Duplex>): Promise<Duplex> {
  try {
    const stream = await opening;
    streams.inc({ kind, result: 'opened' });
    if (!stream.destroyed) {
      streamsOpen.inc({ kind });
      stream.once('close', () => streamsOpen.dec({ kind }));
    }
    return stream;
  } catch (error) {
    const code = error instanceof StreamRefused ? error.code : 'failed';
    const result = code === 'bad-request' || code === 'internal' ? 'failed' : code;
    streams.inc({ kind, result });
    throw error;
  }
}

export const nodeState: StateSource = {
  name: 'nodes',
  read: async db => {
    await readNodes(db);
    await readCountries(db);
    await readDevices(db);
  },
};

async function readNodes(db: Queryable): Promise<void> {
  const { rows } = await db.query<{
    online: boolean;
    scheduling: string;
    region: string;
    nodes: number;
    unproven: number;
  }>(
    `SELECT online, scheduling, coalesce(terms->>'region', 'unknown') AS region, count(*)::int AS nodes,
       count(*) FILTER (WHERE online AND NOT eligible)::int AS unproven
     FROM nodes WHERE removed_at IS NULL GROUP BY 1, 2, 3`,
  );
  const name = mostFrequent(
    sums(rows, row => [row.region, row.nodes]),
    mostRegions,
  );
  const byLabels = new Map<string, { labels: { state: string; scheduling: string; region: string }; value: number }>();
  for (const row of rows) {
    const labels = { state: row.online ? 'online' : 'offline', scheduling: row.scheduling, region: name(row.region) };
    add(byLabels, labels, row.nodes);
  }
  setAll(nodes, [...byLabels.values()]);
  const regions = sums(rows, row => [name(row.region), row.unproven]);
  setAll(
    unproven,
    [...regions].map(([region, value]) => ({ labels: { region }, value })),
  );
}

async function readCountries(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ state: string; country: string; nodes: number }>(
    `SELECT CASE WHEN online THEN 'online' ELSE 'offline' END AS state, coalesce(terms->>'country', 'unknown') AS country,
       count(*)::int AS nodes FROM nodes WHERE removed_at IS NULL GROUP BY 1, 2`,
  );
  setAll(
    byCountry,
    rows.map(({ state, country, nodes: value }) => ({ labels: { state, country }, value })),
  );
}

async function readDevices(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ state: string; model: string; devices: number }>(
    `SELECT CASE WHEN d.device_index IS NOT NULL THEN 'leased' WHEN NOT n.online THEN 'offline'
         WHEN n.scheduling <> 'active' THEN 'draining' ELSE 'free' END AS state, n.model, count(*)::int AS devices
     FROM (SELECT id, online, scheduling, (device->>'index')::int AS index, device->>'model' AS model
       FROM nodes, jsonb_array_elements(inventory->'devices') AS device WHERE removed_at IS NULL) n
     LEFT JOIN lease_devices d ON d.node_id = n.id AND d.device_index = n.index AND NOT d.released
     GROUP BY 1, 2`,
  );
  const name = mostFrequent(
    sums(rows, row => [row.model, row.devices]),
    mostModels,
  );
  const byLabels = new Map<string, { labels: { state: string; model: string }; value: number }>();
  for (const row of rows) add(byLabels, { state: row.state, model: name(row.model) }, row.devices);
  setAll(devices, [...byLabels.values()]);
}

function sums<Row>(rows: readonly Row[], of: (row: Row) => [string, number]): Map<string, number> {
  const found = new Map<string, number>();
  for (const [name, value] of rows.map(of)) found.set(name, (found.get(name) ?? 0) + value);
  return found;
}

function add<Labels>(to: Map<string, { labels: Labels; value: number }>, labels: Labels, value: number): void {
  const key = JSON.stringify(labels);
  const known = to.get(key);
  if (known) known.value += value;
  else to.set(key, { labels, value });
}
