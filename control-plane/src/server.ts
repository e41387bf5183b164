/** One control plane process: joins the domains, starts them in order, stops them in the reverse one. */
import { createHmac, randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  accountRoutes,
  authenticator,
  bootstrapAccounts,
  getTenant,
  mayNow,
  queueTermsOf,
  queueTermsRoutes,
  Refusals,
  refusalRoutes,
} from './accounts/index.js';
import { createAgentReleases } from './agent-releases/index.js';
import { billingState, checkUsage, createBilling } from './billing/index.js';
import { checkState, checkSweep } from './checks/index.js';
import { clusterState, createClusters, entrances, leaseFacts, meteredLeases, pricedLeases } from './clusters/index.js';
import { EmissionSchedule } from './core/token/index.js';
import { enrolmentRoutes } from './enrolment/index.js';
import { eventRoutes } from './events/index.js';
import {
  ensureNode,
  evidenceSweep,
  Inventory,
  measuringSweep,
  meteredMachines,
  nodeRoutes,
  nodeState,
  pricedMachines,
  type RenterDoor,
  recordEvidence,
  stakedMachines,
  telemetrySweep,
} from './inventory/index.js';
import {
  checkInvoices,
  closingSweep,
  type InvoicePorts,
  invoiceRoutes,
  invoiceState,
  loadIssuer,
} from './invoices/index.js';
import { attemptTimes, createJobs, heldAttempts, jobState, queueUseOf } from './jobs/index.js';
import { checkLedger, ledgerRoutes, ledgerState } from './ledger/index.js';
import { createMega } from './mega/index.js';
import { createMesh, meshState } from './mesh/index.js';
import { createMetering, meteringState } from './metering/index.js';
import { pageRoutes } from './pages/index.js';
import {
  type Config,
  Database,
  databaseState,
  Http,
  type Logger,
  loadSecrets,
  migrate,
  openSpanSink,
  publicKeyLine,
  registry,
  Seal,
  Signals,
  Signer,
  StateReader,
  sayVersion,
  Wakeups,
  wakeAll,
} from './platform/index.js';
import {
  applyTerms,
  ioRate,
  loadPricing,
  oracleSweep,
  priceRoutes,
  pricingSweep,
  sourceOf,
  usableRate,
  versionsById,
} from './pricing/index.js';
import { createProviders } from './providers/index.js';
import { openSettlement, settlementState } from './settlement/index.js';
import { createStatus } from './status/index.js';
import { supportRoutes } from './support/index.js';
import { applyParameters, demandGenesis, loadToken, type TokenWiring, tokenRoutes, tokenSweep } from './token/index.js';
import { createTunnels } from './tunnels/index.js';
import {
  applyPolicy,
  challengeSweep,
  sha256,
  tokenProofs,
  verificationRoutes,
  verificationState,
} from './verification/index.js';
import { version } from './version.js';
import { createWebhooks, webhookState } from './webhooks/index.js';

export interface RunningServer {
  httpPort: number;
  sshPort: number;
  stop(): Promise<void>;
}

const migrations = new URL('../migrations/', import.meta.url);

export async function startServer(config: Config, log: Logger): Promise<RunningServer> {
  const pricing = await loadPricing(config.pricingFile);
  const issuer = await loadIssuer(config.invoiceIssuerFile);
  const tokenFile = await loadToken(config.tokenFile);
  const secrets = await loadSecrets(config.secretsDir);
  const database = new Database(config.databaseUrl, log);
  await migrate(database, migrations, log);
  const seal = new Seal(secrets.sealKey);
  const signer = new Signer(secrets.sessionSecret);
  const signals = new Signals(config.redisUrl, randomBytes(8).toString('hex'), log);
  const now = () => new Date();
  const spans = config.otlpEndpoint === undefined ? null : await openSpanSink(version, log);
  sayVersion(version);
  const reputation = { record: recordEvidence };
  const refusals = new Refusals(database, log, Date.now, config.auditDays);
  const evidence = evidenceSweep({ database, log });

  const mesh = createMesh({
    database,
    machines: {
      changeDesired: (tx, nodeId) => inventory.machines.changeDesired(tx, nodeId),
      openStream: (nodeId, request) => inventory.machines.openStream(nodeId, request),
    },
    secret: secrets.sealKey,
    log,
  });

  // Clusters, machines and jobs know each other only by the interfaces in ports.ts; each is reached late, by a closure.
  const clusterDomain = createClusters({
    config,
    database,
    signals,
    seal,
    signer,
    log,
    random: randomBytes,
    now,
    machines: {
      available: (db, tenantId) => inventory.machines.available(db, tenantId),
      capacity: db => inventory.machines.capacity(db),
      enrolled: (db, tenantId) => inventory.machines.enrolled(db, tenantId),
      read: (db, nodeIds) => inventory.machines.read(db, nodeIds),
      changeDesired: (tx, nodeId) => inventory.machines.changeDesired(tx, nodeId),
      silentSince: (db, seconds) => inventory.machines.silentSince(db, seconds),
      lostSince: (db, seconds) => inventory.machines.lostSince(db, seconds),
      draining: db => inventory.machines.draining(db),
      openStream: (nodeId, request) => inventory.machines.openStream(nodeId, request),
    },
    mesh,
    reputation,
    orders: {
      cover: (tx, wanted) => billing.orders.cover(tx, wanted),
      refusal: (db, price) => billing.orders.refusal(db, price),
    },
    activity: {
      of: (db, clusterIds) => jobDomain.activity.of(db, clusterIds),
      evict: (tx, clusterId, eviction) => jobDomain.activity.evict(tx, clusterId, eviction),
      headLost: (tx, clusterId) => jobDomain.activity.headLost(tx, clusterId),
      tell: (tx, clusterIds, news) => jobDomain.activity.tell(tx, clusterIds, news),
    },
  });
  let sshPort = config.sshPort;
  const tunnels = createTunnels({
    config,
    database,
    signals,
    entrances,
    mayNow,
    openStream: (nodeId, request) => inventory.machines.openStream(nodeId, request),
    log,
    random: randomBytes,
    signer,
    ssh: { hostKey: secrets.sshHostKey, port: () => sshPort },
  });
  const agentReleases = createAgentReleases({
    config,
    database,
    log,
    random: randomBytes,
    openStream: (nodeId, request) => inventory.machines.openStream(nodeId, request),
  });
  const providers = createProviders({
    config,
    database,
    // Reached late: the inventory asks the providers, too.
    machines: {
      arrived: machines => inventory.attended.arrived(machines),
      heard: nodeIds => inventory.attended.heard(nodeIds),
      desired: nodeId => inventory.attended.desired(nodeId),
      ending: nodeIds => inventory.attended.ending(nodeIds),
      observed: (nodeId, revision, leases) => inventory.attended.observed(nodeId, revision, leases),
    },
    leaseBook: clusterDomain.leaseBook,
    seal,
    random: randomBytes,
    log,
  });
  const inventory = new Inventory({
    database,
    attendant: providers.attendant,
    releases: agentReleases.watch,
    leaseBook: clusterDomain.leaseBook,
    mesh,
    log,
    ssh: { host: config.sshHost, port: config.sshPort, hostKey: secrets.sshHostKey },
    nodeLostSeconds: config.nodeLostSeconds,
    telemetryHours: config.telemetryHours,
    onUsage: samples => metering.record(samples),
    onRefused: refusals.noteAgent,
    renters: tunnels.gateway as RenterDoor,
  });
  const metering = createMetering({
    config,
    database,
    leases: meteredLeases,
    machines: meteredMachines,
    attempts: attemptTimes,
    onUsage: (tx, clusterIds) => wakeAll(tx, 'billing', clusterIds),
    log,
  });
  const measuring = measuringSweep({ database, machines: inventory.machines, log, random: Math.random });
  const telemetry = telemetrySweep(database, config.telemetryHours, log);
  const prices = pricingSweep({ database, machines: pricedMachines, leases: pricedLeases }, log);
  const rateFile = { kind: 'file', name: 'file', path: join(config.dataDir, 'io-rate.json') } as const;
  const oracle = {
    sources: (pricing.sources ?? [rateFile]).map(source => sourceOf(source, Date.now)),
    guards: pricing.guards,
    nowMs: Date.now,
  };
  const rates = oracleSweep(database, oracle, log);
  const webhooks = createWebhooks({ config, database, seal, random: randomBytes, log, version });
  const invoicePorts: InvoicePorts = {
    leases: leaseFacts,
    attempts: heldAttempts,
    priceVersions: versionsById,
    tenantName: async (db, tenantId) => (await getTenant(db, tenantId)).name,
  };
  const closing = closingSweep(
    { database, ports: invoicePorts, issuer, delayMs: config.invoiceDelayHours * 3_600_000, random: randomBytes },
    log,
  );
  const settlement = await openSettlement({ config, database, seal, log, nowMs: Date.now, random: randomBytes });
  const billing = createBilling({ config, database, oracle, log, now, demandTenant: getTenant });
  const token: TokenWiring = {
    database,
    log,
    random: randomBytes,
    genesis: tokenFile.genesis,
    schedule: new EmissionSchedule(tokenFile.emission),
    machines: stakedMachines,
    proofs: tokenProofs,
    rate: async db => {
      const rate = await ioRate(db, oracle);
      const attoUsdPerIo = usableRate(rate);
      return attoUsdPerIo === null || rate.usdPerIo === null ? null : { usdPerIo: rate.usdPerIo, attoUsdPerIo };
    },
    demandTenant: getTenant,
  };
  const tokens = tokenSweep(token);
  const ending = new AbortController();
  const challenges = challengeSweep({
    database,
    machines: inventory.machines,
    leaseBook: clusterDomain.leaseBook,
    reputation,
    keyed: bytes => createHmac('sha256', secrets.sealKey).update(bytes).digest(),
    hash: sha256,
    ending: ending.signal,
    log,
    now,
    clockMs: () => performance.now(),
    slack: config.verificationSlack,
  });
  const megaDomain = createMega({
    config,
    database,
    cells: clusterDomain.cells,
    signals,
    signer,
    random: randomBytes,
    now,
  });
  const jobDomain = createJobs({
    config,
    database,
    signals,
    log,
    clusters: clusterDomain.clusters,
    reputation,
    queueTermsOf,
    megaNamed: megaDomain.named,
    random: randomBytes,
    now: Date.now,
    tellSpans: spans?.tell,
  });
  const wakeups = new Wakeups({
    database,
    redisUrl: config.redisUrl,
    log,
    handlers: {
      cluster: clusterDomain.cluster,
      mega: megaDomain.mega,
      node: inventory.node,
      dispatch: jobDomain.dispatch,
      attempt: jobDomain.attempt,
      array: jobDomain.array,
      metering: metering.topic,
      billing: billing.handler,
    },
  });

  const state = new StateReader(
    database,
    [
      ...[jobState, clusterState, nodeState, meshState, verificationState, meteringState, billingState, ledgerState],
      ...[invoiceState, settlementState, webhookState, checkState, wakeups.state, databaseState],
    ],
    log,
  );
  const checks = checkSweep({
    database,
    checkers: {
      ledger: async () => (await checkLedger(database)).differencesInAll,
      usage: async () => (await checkUsage(database)).length,
      invoices: async () => (await checkInvoices(database)).differences.length,
    },
    everyMinutes: config.checkMinutes,
    log,
  });
  await database.transaction(tx => applyPolicy(tx, config.verification === 'shared'));
  await database.transaction(tx => applyTerms(tx, pricing.terms, pricedMachines));
  if (tokenFile.genesis) await demandGenesis(database, tokenFile.genesis, tokenFile.emission);
  const isInForce = await database.transaction(tx => applyParameters(tx, stakedMachines, tokenFile.parameters));
  if (!isInForce)
    log.warn('the parameters of IOCLOUD_TOKEN_FILE are not those in force: a vote has changed them since');
  if (config.bootstrapFile) {
    const { tenantId, nodes } = await bootstrapAccounts(database, config.bootstrapFile, randomBytes);
    await database.transaction(async tx => {
      for (const node of nodes) await ensureNode(tx, { ...node, tenantId });
    });
  }

  await agentReleases.open();

  const http = new Http(authenticator(database, signer), log, refusals.note);
  // Routes are tried in the order in which they are bound: what is asked for most comes first.
  jobDomain.routes(http);
  accountRoutes(http, database, randomBytes);
  queueTermsRoutes(http, database, queueUseOf);
  refusalRoutes(http, database);
  invoiceRoutes(http, { database, ports: invoicePorts, issuer, now });
  webhooks.routes(http);
  settlement.routes(http);
  ledgerRoutes(http, { database, fees: config.fees, demandTenant: getTenant, checkUsage: billing.check });
  billing.routes(http);
  eventRoutes(http, database, signals);
  metering.routes(http);
  nodeRoutes(http, database, clusterDomain.leaseBook, randomBytes);
  enrolmentRoutes(http, {
    config,
    database,
    signer,
    random: randomBytes,
    ssh: () => ({ port: sshPort, hostKey: publicKeyLine(secrets.sshHostKey) }),
    releaseKey: agentReleases.keyInForce,
  });
  agentReleases.routes(http);
  providers.routes(http);
  verificationRoutes(http, database, reputation);
  priceRoutes(http, { database, random: randomBytes, now, oracle });
  tokenRoutes(http, token);
  clusterDomain.routes(http);
  megaDomain.routes(http);
  tunnels.routes(http);
  const healthy = {
    database: () =>
      database.query('SELECT 1').then(
        () => true,
        () => false,
      ),
    redis: () => wakeups.healthy(),
  };
  supportRoutes(http, { config, secrets, database, version, state, healthy, now });
  const status = createStatus({ registry, refresh: () => state.refresh(), version, log, now: Date.now });
  status.routes(http);
  pageRoutes(http, {
    config,
    signer,
    database,
    version,
    state,
    clustersOf: tenantId => clusterDomain.list(tenantId),
    megaCluster: megaDomain.show,
    healthy,
  });
  http.seal();

  sshPort = await inventory.listen();
  tunnels.start();
  await wakeups.start();
  clusterDomain.start();
  providers.start();
  evidence.start();
  measuring.start();
  agentReleases.start();
  telemetry.start();
  prices.start();
  metering.start();
  rates.start();
  closing.start();
  webhooks.start();
  settlement.start();
  billing.start();
  tokens.start();
  refusals.start();
  checks.start();
  await status.start();
  // Where none are required none are given.
  if (config.verification === 'shared') challenges.start();
  await new Promise<void>((resolve, reject) => {
    http.server.once('error', reject);
    http.server.listen(config.httpPort, config.httpHost, () => resolve());
  });
  const httpPort = (http.server.address() as AddressInfo).port;
  log.info({ httpPort, sshPort, version }, 'the control plane is ready');

  return {
    httpPort,
    sshPort,
    stop: async () => {
      http.server.close();
      http.server.closeAllConnections();
      await state.stop();
      await checks.stop();
      await wakeups.stop();
      await webhooks.stop();
      await closing.stop();
      await settlement.stop();
      await billing.stop();
      await tokens.stop();
      await rates.stop();
      await metering.stop();
      await prices.stop();
      await telemetry.stop();
      ending.abort();
      await challenges.stop();
      await measuring.stop();
      await agentReleases.stop();
      await evidence.stop();
      await jobDomain.stop();
      await spans?.close();
      await clusterDomain.stop();
      await providers.stop();
      mesh.stop();
      await tunnels.stop();
      await inventory.stop();
      await refusals.stop();
      await status.stop();
      signals.close();
      await database.close();
    },
  };
}
