/** Joins the parts of the domain and gives its loop to the wake-ups. */
import type { Cluster, ClusterId, NodeId, TenantId } from '@iocloud/contracts';
import type { Orders } from '../billing/index.js';
import type { LeaseBook, Machines, Reputation } from '../inventory/index.js';
import type { MeshBook } from '../mesh/index.js';
import type { Config, Database, Http, Logger, Seal, Signals, Signer, TopicHandler } from '../platform/index.js';
import { dashboardRoutes } from './dashboard/index.js';
import { explainForJob, groundsOf, provisionForJob } from './dispatch.js';
import { runsJobs } from './head-jobs.js';
import { headState, machineOf } from './head-state.js';
import { Heads } from './heads.js';
import { createLeaseBook } from './lease-book.js';
import { hold, live } from './live.js';
import { LoadWatch } from './load-watch.js';
import { type LoopWiring, step } from './loop.js';
import { MachineMirror } from './machine-mirror.js';
import type { ClusterActivity, Clusters } from './ports.js';
import { drainIdle, resourceState } from './ray-state/index.js';
import { leased, rooms } from './room.js';
import { clusterRoutes } from './routes.js';
import { scrapingRoutes } from './scraping.js';
import { listClusters, toClusters } from './store.js';

export interface ClusterWiring {
  config: Pick<Config, 'rayVersion' | 'idleTimeoutSeconds' | 'nodeLostSeconds' | 'publicUrl' | 'checkpointRoot'>;
  database: Database;
  /** May resolve late: nothing is called before the server has started. */
  machines: Machines;
  mesh: Pick<MeshBook, 'seats' | 'hold'>;
  activity: ClusterActivity;
  reputation: Reputation;
  orders: Orders;
  signals: Pick<Signals, 'send'>;
  seal: Seal;
  signer: Signer;
  log: Logger;
  random(n: number): Buffer;
  now(): Date;
  /** With no more machines than these, all are read for each decision. */
  fewMachines?: number;
}

export interface ClusterDomain {
  routes(http: Http): void;
  /** Topic 'cluster': brings one cluster towards what it shall be. */
  cluster: TopicHandler;
  leaseBook: LeaseBook;
  clusters: Clusters;
  /** Begins to read the live load of clusters and to size those that are autoscaled. */
  start(): void;
  /** A tenant's clusters, newest first, without the deleted ones. */
  list(tenantId: TenantId): Promise<Cluster[]>;
  stop(): Promise<void>;
}

/** After such a pause between two sweeps nobody can say whether machines were silent or we were deaf. */
const deafAfterMs = 4_000;
/** A head that cannot be asked for its jobs keeps its cluster for so long past the idle time. */
const patienceMs = 60_000;
const listLimit = 500;

export function createClusters(wiring: ClusterWiring): ClusterDomain {
  const { config, database, machines, signals, now, log } = wiring;
  let lastSweep = Number.NEGATIVE_INFINITY;
  let listeningSince = now().getTime();

  const silentNodes = async (db: Parameters<Machines['lostSince']>[0]): Promise<ReadonlySet<NodeId>> => {
    const listened = now().getTime() - listeningSince;
    if (listened < config.nodeLostSeconds * 1000) return new Set();
    return new Set(await machines.lostSince(db, config.nodeLostSeconds));
  };
  const mirror = new MachineMirror({ machines, leased, fewMachines: wiring.fewMachines });
  const loop: LoopWiring = { ...wiring, mirror, silentNodes, checkpointRoot: config.checkpointRoot };
  const heads = new Heads(database, machines, wiring.seal, log);
  const told = (tenantId: TenantId) => signals.send(`events:${tenantId}`);

  const look = async (clusterId: ClusterId, idleConfirmed = false) => {
    const result = await database.transaction(tx => step(tx, loop, clusterId, idleConfirmed));
    if (result?.plan.phase !== 'ready') heads.close(clusterId);
    if (result && result.plan.lines.length > 0) told(result.tenantId);
    return result;
  };

  const askIdle = async (clusterId: ClusterId, since: Date | null, timeoutSeconds: number): Promise<void> => {
    try {
      if (await runsJobs(heads, clusterId)) {
        await database.query('UPDATE clusters SET direct_busy_at = $2 WHERE id = $1', [clusterId, now()]);
        await look(clusterId);
        return;
      }
    } catch (error) {
      const over = now().getTime() - (since?.getTime() ?? 0) - timeoutSeconds * 1000;
      log.info({ clusterId, error: String(error) }, 'an idle head could not be asked whether it runs jobs');
      if (over < patienceMs) return; // the sweep comes again
    }
    await look(clusterId, true);
  };

  const loads = new LoadWatch({
    ...wiring,
    told,
    state: clusterId => resourceState(heads, clusterId),
    drain: (clusterId, rayNodeId, why) => drainIdle(heads, clusterId, rayNodeId, why),
  });

  const cluster: TopicHandler = {
    handle: async key => {
      const clusterId = key as ClusterId;
      const result = await look(clusterId);
      if (result?.plan.askIdle) await askIdle(clusterId, result.plan.idleSince, result.idleTimeoutSeconds ?? 0);
    },
    sweep: async () => {
      const due = await keysToLookAt();
      const at = now().getTime();
      if (at - lastSweep > deafAfterMs) listeningSince = at;
      lastSweep = at;
      const left = [...(await silentNodes(database)), ...(await machines.draining(database)).keys()];
      if (left.length === 0) return due;
      const { rows } = await database.query<{ cluster_id: string }>(
        'SELECT DISTINCT cluster_id FROM leases WHERE released_at IS NULL AND node_id = ANY($1)',
        [left],
      );
      return [...new Set([...due, ...rows.map(row => row.cluster_id)])];
    },
  };

  const keysToLookAt = async (): Promise<string[]> => {
    await database.query('DELETE FROM dashboard_links_used WHERE expires_at < $1', [now()]);
    const { rows } = await database.query<{ id: string }>(
      `SELECT id FROM clusters c WHERE phase <> 'deleted' AND (
         phase IN ('pending', 'provisioning', 'stopping', 'deleting') OR observed_generation < generation
         OR look_at <= $1
         OR (desired = 'running' AND conditions @> '[{"type": "WorkersReady", "status": "False"}]')
         OR (phase = 'ready' AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.cluster_id = c.id AND l.role = 'head'
           AND l.released_at IS NULL AND l.desired AND l.phase = 'ready')))`,
      [now()],
    );
    return rows.map(row => row.id);
  };

  return {
    routes: http => {
      clusterRoutes(http, wiring);
      dashboardRoutes(http, { ...wiring, heads });
      scrapingRoutes(http, { config, database, machines });
    },
    cluster,
    leaseBook: createLeaseBook({ ...wiring, told }),
    clusters: {
      live: live(machines),
      hold: hold(machines),
      provisionForJob: provisionForJob({ ...loop, config, seal: wiring.seal }),
      headState: headState(wiring),
      machineOf,
      groundsOf: groundsOf(wiring),
      rooms: (db, asked) => rooms(db, loop, asked, now()),
      capacity: db => machines.capacity(db),
      explainForJob: explainForJob({ ...loop, config, seal: wiring.seal }),
      head: heads.head,
      jobLog: heads.jobLog,
    },
    list: async tenantId =>
      toClusters(
        database,
        await listClusters(database, tenantId, { after: undefined, limit: listLimit, deleted: false }),
      ),
    start: () => loads.start(),
    stop: async () => {
      await loads.stop();
      heads.stop();
    },
  };
}
