/** Where a tenant's people may get in: its leases that are up, by the names under which they ask for them. */
import type { ClusterId, ClusterPhase, LeaseId, LeasePhase, NodeId, TenantId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';

export interface Entrance {
  clusterId: ClusterId;
  leaseId: LeaseId;
  nodeId: NodeId;
}

interface LeaseRow {
  cluster_id: ClusterId;
  cluster_name: string;
  cluster_phase: ClusterPhase;
  lease_id: LeaseId;
  lease_phase: LeasePhase;
  role: 'head' | 'worker';
  group_name: string;
  ordinal: number;
  node_id: NodeId;
  node_name: string;
  desired: boolean;
}

/**
 * The lease that a name stands for, or in words why there is none. `name`: `<cluster>`, by name or id, which is its head;
 * `<cluster>+<place>`, where the place is a Ray node of it (`workers-0`, or its lease's id) or a machine that carries
 * one, by name or id; or the id of a lease; or a machine, where all that the tenant has there is of one cluster.
 */
async function find(db: Queryable, tenantId: TenantId, name: string): Promise<Entrance | { refused: string }> {
  const [what = '', place, ...more] = name.split('+');
  if (what === '' || more.length > 0) {
    return { refused: `"${name}" names nothing: log in as <cluster> or <cluster>+<Ray node or machine>` };
  }
  const { rows } = await db.query<LeaseRow>({
    name: 'find-entrance',
    text: `SELECT c.id AS cluster_id, c.name AS cluster_name, c.phase AS cluster_phase, l.id AS lease_id,
             l.phase AS lease_phase, l.role, l.group_name, l.ordinal, l.node_id, n.name AS node_name,
             l.desired AND c.desired = 'running' AS desired
           FROM leases l JOIN clusters c ON c.id = l.cluster_id JOIN nodes n ON n.id = l.node_id
           WHERE l.tenant_id = $1 AND c.tenant_id = $1 AND l.released_at IS NULL
             AND (c.id = $2 OR c.name = $2 OR l.id = $2 OR l.node_id = $2 OR n.name = $2)
           ORDER BY l.role = 'head' DESC, l.group_name, l.ordinal, l.id`,
    values: [tenantId, what],
  });
  const ofCluster = rows.filter(row => row.cluster_id === what || row.cluster_name === what);
  const ofLease = rows.filter(row => row.lease_id === what);
  const named = ofCluster.length > 0 ? ofCluster : ofLease.length > 0 ? ofLease : rows;
  if (named.length === 0) return { refused: await whyNothing(db, tenantId, what) };
  const clusters = new Set(named.map(row => row.cluster_name));
  if (clusters.size > 1) {
    const ways = [...clusters].sort().map(cluster => `${cluster}+${what}`);
    return { refused: `${what} carries several clusters of yours: log in as ${ways.join(' or ')}` };
  }
  const there = place === undefined ? named : named.filter(row => isAt(row, place));
  return choose(there, what, place);
}

const isAt = (row: LeaseRow, place: string): boolean =>
  [row.lease_id, row.node_id, row.node_name, `${row.group_name}-${row.ordinal}`].includes(place) ||
  (place === 'head' && row.role === 'head');

function choose(rows: readonly LeaseRow[], what: string, place: string | undefined): Entrance | { refused: string } {
  const wanted = rows.filter(row => row.desired);
  const ready = wanted.find(row => row.lease_phase === 'ready');
  // Of a cluster its head; not a worker that happens to be up already.
  const [first] = wanted;
  if (ready && (ready === first || place !== undefined)) {
    return { clusterId: ready.cluster_id, leaseId: ready.lease_id, nodeId: ready.node_id };
  }
  if (first) {
    const which = first.role === 'head' ? 'the head' : `${first.group_name}-${first.ordinal}`;
    return { refused: `${which} of ${first.cluster_name} is not up yet (${first.lease_phase}); try again` };
  }
  if (rows[0]) return { refused: `${rows[0].cluster_name} is ending` };
  return { refused: `${what} has no Ray node ${place}; \`iocloud cluster show ${what}\` names them` };
}

/** Nothing of that name is up: does it wait, has it been stopped, or is it a machine with nothing of theirs on it? */
async function whyNothing(db: Queryable, tenantId: TenantId, what: string): Promise<string> {
  const { rows } = await db.query<{ name: string; phase: ClusterPhase }>(
    `SELECT name, phase FROM clusters WHERE tenant_id = $1 AND (id = $2 OR (name = $2 AND phase <> 'deleted'))`,
    [tenantId, what],
  );
  const [cluster] = rows;
  if (cluster?.phase === 'stopped') return `${cluster.name} is stopped: iocloud cluster start ${cluster.name}`;
  if (cluster) return `${cluster.name} is ${cluster.phase}: it has no Ray node to log in to`;
  const { rowCount } = await db.query(
    'SELECT 1 FROM nodes WHERE tenant_id = $1 AND (id = $2 OR name = $2) AND removed_at IS NULL',
    [tenantId, what],
  );
  if (rowCount) {
    return `the machine ${what} carries no cluster of yours: this way leads into clusters, not to the machine itself`;
  }
  return `you have no cluster, Ray node or machine called "${what}"; \`iocloud cluster list\` names them`;
}

/** Those of these leases that are wanted still, and not known to have ended. */
async function open(db: Queryable, leaseIds: readonly LeaseId[]): Promise<Set<string>> {
  if (leaseIds.length === 0) return new Set();
  const { rows } = await db.query<{ id: string }>({
    name: 'open-leases',
    text: `SELECT l.id FROM leases l JOIN clusters c ON c.id = l.cluster_id
           WHERE l.id = ANY($1) AND l.released_at IS NULL AND l.desired AND c.desired = 'running'
             AND l.phase NOT IN ('exited', 'lost')`,
    values: [leaseIds],
  });
  return new Set(rows.map(row => row.id));
}

export const entrances = { find, open };
