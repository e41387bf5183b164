/** What a Prometheus scrapes through the control plane: where Ray nodes are, and the way to their metrics. */
import { get } from 'node:http';
import { type Duplex, PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { api, type ClusterId, type LeaseId, type NodeId, type TenantId } from '@iocloud/contracts';
import { type Machines, StreamRefused } from '../inventory/index.js';
import { type Caller, type Config, type Database, Failure, type Http, type Queryable } from '../platform/index.js';
import { asSocket } from './stream-socket.js';

interface Wiring {
  config: Pick<Config, 'publicUrl'>;
  database: Database;
  machines: Pick<Machines, 'openStream'>;
}

interface Target {
  lease_id: LeaseId;
  cluster_id: ClusterId;
  cluster_name: string;
  tenant_id: TenantId;
  node_id: NodeId;
  node_name: string;
  role: string;
  group_name: string;
}

/** A Ray node has some hundred kilobytes to say; one that says more is none. */
const mostBytes = 64 * 2 ** 20;
/** Below the ten seconds after which Prometheus gives up by default. */
const timeoutMs = 9_000;

/** Null: of all tenants. */
const scopeOf = (caller: Caller): TenantId | null => (caller.permissions.has('metrics:read') ? null : caller.tenantId);

export function scrapingRoutes(http: Http, { config, database, machines }: Wiring): void {
  http.handle(api.metricsTargets, async ({ caller, request }) => {
    const { host, protocol } = config.publicUrl
      ? new URL(config.publicUrl)
      : { host: request.headers.host ?? '', protocol: 'http:' };
    const found = await targets(database, scopeOf(caller));
    const at = (path: string, labels: Record<string, string>) => ({
      targets: [host],
      labels: { __scheme__: protocol.replace(':', ''), __metrics_path__: path, ...labels },
    });
    const may = (permission: 'nodes:read' | 'usage:read' | 'metrics:read') => caller.permissions.has(permission);
    return [
      ...(may('metrics:read') ? [at('/metrics', { iocloud_kind: 'control-plane' })] : []),
      ...(may('nodes:read') ? [at('/v1/metrics/nodes', { iocloud_kind: 'nodes' })] : []),
      ...(may('usage:read') ? [at('/v1/metrics/leases', { iocloud_kind: 'leases' })] : []),
      ...found.map(row =>
        at(`/v1/clusters/${row.cluster_id}/metrics/${row.lease_id}`, {
          iocloud_kind: 'ray',
          tenant: row.tenant_id,
          cluster: row.cluster_id,
          cluster_name: row.cluster_name,
          node: row.node_id,
          node_name: row.node_name,
          role: row.role,
          group: row.group_name,
          // All are reached by one address: what tells them apart is the Ray node.
          instance: row.lease_id,
        }),
      ),
    ];
  });

  http.handle(api.rayNodeMetrics, async ({ caller, params, response }) => {
    const [row] = await targets(database, scopeOf(caller), params);
    if (!row)
      throw new Failure('not-found', `cluster ${params.clusterId} has no Ray node ${params.leaseId} that is up`);
    const stream = await open(machines, row);
    const answer = await scraped(stream).catch((error: Error) => {
      stream.destroy();
      throw new Failure('unavailable', `the Ray node does not tell its metrics: ${error.message}`);
    });
    response.set({ 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' });
    response.send(answer);
    return undefined;
  });
}

/** Of all Ray nodes, or of one. */
async function targets(
  db: Queryable,
  tenantId: TenantId | null,
  one: { clusterId: ClusterId; leaseId: LeaseId } | null = null,
): Promise<Target[]> {
  const { rows } = await db.query<Target>({
    name: 'scrape-targets',
    text: `SELECT l.id AS lease_id, l.cluster_id, c.name AS cluster_name, l.tenant_id, l.node_id, n.name AS node_name,
             l.role, l.group_name
           FROM leases l JOIN clusters c ON c.id = l.cluster_id JOIN nodes n ON n.id = l.node_id
           WHERE l.released_at IS NULL AND l.phase = 'ready' AND ($1::text IS NULL OR l.tenant_id = $1)
             AND ($2::text IS NULL OR (l.id = $2 AND l.cluster_id = $3))
           ORDER BY l.cluster_id, l.id`,
    values: [tenantId, one?.leaseId ?? null, one?.clusterId ?? null],
  });
  return rows;
}

async function open(machines: Pick<Machines, 'openStream'>, { node_id, lease_id }: Target): Promise<Duplex> {
  try {
    return await machines.openStream(node_id, { kind: 'metrics', leaseId: lease_id });
  } catch (error) {
    if (error instanceof StreamRefused) throw new Failure('unavailable', error.message);
    throw error;
  }
}

/** One GET over the stream. What a Ray node says is its tenant's to choose, so it is passed on as text and never as a page. */
async function scraped(stream: Duplex): Promise<Buffer> {
  const call = get({ path: '/metrics', host: 'ray', createConnection: () => asSocket(stream), timeout: timeoutMs });
  const late = setTimeout(() => call.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)), timeoutMs);
  try {
    const body = new PassThrough();
    const chunks: Buffer[] = [];
    let bytes = 0;
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > mostBytes) call.destroy(new Error(`more than ${mostBytes} bytes`));
      else chunks.push(chunk);
    });
    await new Promise<void>((resolve, reject) => {
      call.on('error', reject);
      call.on('response', answer => {
        if (answer.statusCode === 200) pipeline(answer, body).then(resolve, reject);
        else reject(new Error(`it answered ${answer.statusCode}`));
      });
    });
    return Buffer.concat(chunks);
  } finally {
    clearTimeout(late);
    call.destroy();
    stream.destroy();
  }
}
