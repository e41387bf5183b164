/** The operator put together: it stands for election, and for as long as it leads it follows and reconciles. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OperatorConfig } from './config.js';
import { localCopies } from './controller/local-copies.js';
import { MegaRayClusterController } from './controller/mega/controller.js';
import { Members } from './controller/mega/members.js';
import { RayClusterController } from './controller/raycluster-controller.js';
import { KubernetesClient } from './kubernetes/client.js';
import type { Connection } from './kubernetes/connection.js';
import { LeaderElection } from './kubernetes/leader-election.js';
import type { Logger } from './log.js';
import { createMetrics, type Metrics } from './metrics.js';

export interface Operator {
  metricsPort: number;
  stop(): Promise<void>;
}

export async function startOperator(config: OperatorConfig, connection: Connection, log: Logger): Promise<Operator> {
  const metrics = createMetrics();
  const client = new KubernetesClient(connection, metrics.observeRequest);
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
    lead: signal => term(config, client, log, metrics, signal),
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

/**
 * One time of leading. It begins with fresh lists: those are sure to hold all that a leader before has done, which a
 * standing copy might not.
 */
async function term(
  config: OperatorConfig,
  client: KubernetesClient,
  log: Logger,
  metrics: Metrics,
  signal: AbortSignal,
) {
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
  const controllers = [
    new RayClusterController({ ...copies, ...shared, creationBatch, waitForHead, redisCleanup, lateAfterMs }),
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
