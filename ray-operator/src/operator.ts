/** The operator put together: it stands for election, and for as long as it leads it follows and reconciles. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperatorConfig } from './config.js';
import { ClusterTokens } from './controller/cluster-tokens.js';
import { localCopies } from './controller/local-copies.js';
import { MegaRayClusterController } from './controller/mega/controller.js';
import { Members } from './controller/mega/members.js';
import { RayClusterController } from './controller/raycluster-controller.js';
import { RayJobController } from './controller/rayjob-controller.js';
import { RayServiceController } from './controller/rayservice-controller.js';
import { KubernetesClient } from './kubernetes/client.js';
import type { Connection } from './kubernetes/connection.js';
import { LeaderElection } from './kubernetes/leader-election.js';
import type { Logger } from './log.js';
import { createMetrics, type Metrics } from './metrics.js';
import { JobsApi } from './ray/jobs-api.js';
import { ServeApi } from './ray/serve-api.js';
import { byAddress, byProxy, byService, type Transport } from './ray/transport.js';

export interface Operator {
  metricsPort: number;
  stop(): Promise<void>;
}

export async function startOperator(config: OperatorConfig, connection: Connection, log: Logger): Promise<Operator> {
  const metrics = createMetrics();
  const client = new KubernetesClient(connection, metrics.observeRequest);
  const transport = transportOf(config, connection, client);
  const leaseMs = config.leaseSeconds * 1000;
  const election = new LeaderElection({
    client,
    log,
    namespace: config.namespace,
    name: config.leaseName,
    identity: config.identity,
    leaseMs,
    renewDeadlineMs: (leaseMs * 2) / 3,
    retryMs: leaseMs / 8,
    lead: signal => term({ config, client, transport, log, metrics, signal }),
  });
  const server = serveMetrics(metrics);
  server.listen(config.metricsPort, config.metricsHost);
  await once(server, 'listening');
  election.start();
  return {
    metricsPort: (server.address() as AddressInfo).port,
    async stop() {
      await election.stop();
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Term {
  config: OperatorConfig;
  client: KubernetesClient;
  transport: Transport;
  log: Logger;
  metrics: Metrics;
  signal: AbortSignal;
}

/**
 * One time of leading. It begins with fresh lists: those are sure to hold all that a leader before has done, which a
 * standing copy might not.
 */
async function term({ config, client, transport, log, metrics, signal }: Term) {
  const tokens = await clusterTokens(config, client, log, signal);
  if (!tokens) return;
  const copies = localCopies(client, log, config.watchNamespace);
  const { identity, concurrency, creationBatch, waitForHead, redisCleanup } = config;
  const lateAfterMs = config.lateAfterSeconds * 1000;
  const shared = { client, log, metrics, identity, concurrency, resyncMs: config.resyncSeconds * 1000, signal };
  const members = new Members({
    directory: config.membersDirectory,
    namespace: config.watchNamespace,
    log,
    observe: metrics.observeRequest,
    signal,
  });
  const access = { transport, tokenOf: tokens.of.bind(tokens) };
  const pollMs = config.jobPollSeconds * 1000;
  const patience = { dashboardMs: config.dashboardGraceSeconds * 1000, lostMs: lostJobMs };
  const controllers = [
    new RayClusterController({ ...copies, ...shared, creationBatch, waitForHead, redisCleanup, lateAfterMs, tokens }),
    new RayJobController({ ...copies, ...shared, jobsApi: new JobsApi(access), pollMs, patience }),
    new RayServiceController({ ...copies, ...shared, serveApi: new ServeApi(access), pollMs }),
    new MegaRayClusterController({ ...copies, ...shared, members }),
  ];
  const over = once(signal, 'abort');
  metrics.leading.set(1);
  const counting = setInterval(() => {
    for (const [kind, copy] of Object.entries(copies)) {
      metrics.objects.set({ kind }, copy.objects.size);
      metrics.lists.set({ kind }, copy.lists);
    }
  }, 1_000);
  try {
    const synced = Promise.all([...Object.values(copies), members].map(part => part.start()));
    await Promise.race([synced, over]);
    if (!signal.aborted) {
      log.info({ clusters: copies.clusters.objects.size, pods: copies.pods.objects.size }, 'following');
      for (const controller of controllers) controller.start();
      await over;
    }
  } finally {
    metrics.leading.set(0);
    clearInterval(counting);
    await Promise.all([...controllers, ...Object.values(copies), members].map(part => part.stop()));
  }
}

/** A head that answers and does not know its job is believed after so long. */
const lostJobMs = 60_000;
const keyRetryMs = 2_000;

/** Without the key no cluster could be given its token: it is waited for. */
async function clusterTokens(config: OperatorConfig, client: KubernetesClient, log: Logger, signal: AbortSignal) {
  while (!signal.aborted) {
    try {
      return await ClusterTokens.load(client, config.namespace, `${config.leaseName}-token-key`, signal);
    } catch (err) {
      if (signal.aborted) break;
      log.warn({ err }, 'cannot read the key of the clusters’ tokens; are the roles of this version applied?');
      await sleep(keyRetryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

function transportOf({ dashboard }: OperatorConfig, { isInCluster }: Connection, client: KubernetesClient): Transport {
  if (/^https?:/.test(dashboard)) return byAddress(dashboard);
  const usesService = dashboard === 'service' || (dashboard === '' && isInCluster);
  return usesService ? byService : byProxy(client);
}

function serveMetrics({ register }: Metrics) {
  return createServer((request, response) => {
    if (request.url === '/metrics') {
      register.metrics().then(
        text => response.setHeader('content-type', register.contentType).end(text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    } else if (request.url === '/healthz' || request.url === '/readyz') response.end('ok\n');
    else response.writeHead(404).end();
  });
}
