/** What the supervisor is told to run for a lease (LEASE_DIR/launch.json). Pure. */
import { join } from 'node:path';
import { type Device, type LeaseSpec, slotOf } from '@iocloud/contracts';

export interface Launch {
  argv: string[];
  env: Record<string, string>;
  nodeIp: string;
  /** Where the head answers to new members; null on the head itself. */
  head: [string, number] | null;
  dashboard: [string, number] | null;
  /** Where the head's GCS, Ray's own control store, answers; null on a worker. */
  gcs: [string, number] | null;
  dashboardAgent: [string, number];
  dashboardSocket: string | null;
  gcsSocket: string | null;
  tokenFile: string;
  stopTimeoutSeconds: number;
  /** See fence.ts. */
  fenceFile: string;
  sandbox: { network: string; tmp: string; hide: string[]; keep: string[] } | null;
  container: LaunchedContainer | null;
  /** Where the node's session folders are, as seen from outside. */
  sessionsDir: string;
}

/** How python/container.py starts and removes it. */
export interface LaunchedContainer {
  name: string;
  engine: string[];
  run: string[];
  remove: string[];
  /** User id of those who run there; root is our supervisor. */
  renter: number;
  /** Directory of the supervisor's sockets. */
  sockets: string;
}

/** Whether the kernel ends all of a lease with its supervisor, which is PID 1 of its processes. */
export const isApart = (launch: Launch | null): boolean => Boolean(launch?.sandbox ?? launch?.container);

/**
 * The last three are given although nobody here asks for them: a raylet that does not know a port of its agents' joins
 * the cluster only when these have started, two Python programs that take seconds where processors are busy.
 */
export interface Ports {
  gcs: number;
  dashboard: number;
  client: number;
  dashboardAgent: number;
  dashboardAgentGrpc: number;
  runtimeEnvAgent: number;
  metricsExport: number;
}

export interface Surroundings {
  environment: string;
  leaseDir: string;
  ports: Ports;
  /** Memory of the node where the lease names none. Bytes. */
  memoryBytes: number;
  /** The machine's devices, leased or not. */
  devices: readonly Device[];
  sandbox: Launch['sandbox'];
  container: LaunchedContainer | null;
  /** Ray's folder as seen from outside. */
  sessionsDir: string;
  dashboardSocket: string | null;
  gcsSocket: string | null;
  fenceFile: string;
  /** Ray's folder where it cannot have /tmp/ray for itself; null in a sandbox. */
  tempDir: string | null;
  /** The agent's own environment, of which little is passed on. */
  inherited: Readonly<Record<string, string | undefined>>;
}

/** Set in every process of a lease, so that those without a namespace can be found. */
export const leaseMarker = 'IOCLOUD_LEASE_ID';

const objectStoreShare = 0.3;
const objectStoreMaxBytes = 2 * 2 ** 30;
/** Ray refuses less. */
const objectStoreMinBytes = 75 * 2 ** 20;
const stopTimeoutSeconds = 8;
const passedOn =
  /^(HOME|USER|LANG|LC_\w+|TZ|LD_LIBRARY_PATH|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|PIP_\w+|UV_\w+|\w+_PROXY)$/i;
/** The rest names files of the machine, or its owner's proxies, which may know passwords. */
const passedIntoContainers = /^(LANG|LC_\w+|TZ)$/;
export const containerHome = '/home/ray';
export const containerUser = 'ray';
/** Where the renter sees it: the directory of the lease is the supervisor's. */
export const containerToken = '/run/ray-token';

/** Failed health checks, a second each at least, after which Ray gives up a Ray node on another machine. */
const meshedHealthChecks = 20;
const portsOfANode = 4;

/** Inside a cluster's own network every port is free; those of a node's own agents come from its address. */
export function portsInNamespace(nodeIp: string): Ports {
  const [, , high = 0, low = 0] = nodeIp.split('.').map(Number);
  // Below the range that Linux gives to outgoing connections (32768 and up).
  const first = 20_000 + ((high * 256 + low) % 3_000) * portsOfANode;
  return {
    gcs: 6379,
    dashboard: 8265,
    client: 10_001,
    dashboardAgent: first,
    dashboardAgentGrpc: first + 1,
    runtimeEnvAgent: first + 2,
    metricsExport: first + 3,
  };
}

export function launchOf(spec: LeaseSpec, around: Surroundings): Launch {
  const isHead = spec.role === 'head';
  const tokenFile = join(around.leaseDir, 'token');
  return {
    argv: [join(around.environment, 'bin', 'ray'), ...rayArguments(spec, around)],
    env: environment(spec, around, tokenFile),
    nodeIp: spec.nodeIp,
    head: isHead ? null : [spec.headIp, around.ports.gcs],
    dashboard: isHead ? [spec.nodeIp, around.ports.dashboard] : null,
    dashboardAgent: [spec.nodeIp, around.ports.dashboardAgent],
    gcs: isHead ? [spec.nodeIp, around.ports.gcs] : null,
    dashboardSocket: around.dashboardSocket,
    gcsSocket: around.gcsSocket,
    tokenFile,
    fenceFile: around.fenceFile,
    stopTimeoutSeconds,
    sandbox: around.sandbox,
    container: around.container,
    sessionsDir: around.sessionsDir,
  };
}

function rayArguments(spec: LeaseSpec, { ports, memoryBytes, tempDir }: Surroundings): string[] {
  const role =
    spec.role === 'head'
      ? [
          '--head',
          `--port=${ports.gcs}`,
          '--include-dashboard=true',
          `--dashboard-host=${spec.nodeIp}`,
          `--dashboard-port=${ports.dashboard}`,
          `--ray-client-server-port=${ports.client}`,
        ]
      : [`--address=${spec.headIp}:${ports.gcs}`];
  const ownLabels = Object.entries(spec.labels).filter(([key]) => !isRayLabel(key));
  const objectStore = Math.min(objectStoreMaxBytes, objectStoreShare * (spec.memoryBytes ?? memoryBytes));
  return [
    'start',
    '--block',
    ...role,
    `--node-ip-address=${spec.nodeIp}`,
    `--dashboard-agent-listen-port=${ports.dashboardAgent}`,
    `--dashboard-agent-grpc-port=${ports.dashboardAgentGrpc}`,
    `--runtime-env-agent-port=${ports.runtimeEnvAgent}`,
    `--metrics-export-port=${ports.metricsExport}`,
    // Any free port: several nodes of a cluster may share a network, and a fixed range would make them race.
    '--min-worker-port=0',
    '--max-worker-port=0',
    `--num-cpus=${Math.floor(spec.cpus)}`,
    `--num-gpus=${spec.deviceIndices.length}`,
    `--object-store-memory=${Math.floor(Math.max(objectStoreMinBytes, objectStore))}`,
    '--disable-usage-stats',
    ...(spec.memoryBytes === null ? [] : [`--memory=${spec.memoryBytes}`]),
    ...(Object.keys(spec.resources).length > 0 ? [`--resources=${JSON.stringify(spec.resources)}`] : []),
    ...(ownLabels.length > 0 ? [`--labels=${ownLabels.map(pair => pair.join('=')).join(',')}`] : []),
    ...(tempDir === null ? [] : [`--temp-dir=${tempDir}`]),
  ];
}

/** Ray refuses these on its command line, and takes them from the environment. */
const isRayLabel = (key: string): boolean => key.startsWith('ray.io/');

function environment(spec: LeaseSpec, around: Surroundings, tokenFile: string): Record<string, string> {
  const inherited = Object.entries(around.inherited).filter(
    (entry): entry is [string, string] =>
      (around.container ? passedIntoContainers : passedOn).test(entry[0]) && entry[1] !== undefined,
  );
  const rayLabels = Object.entries(spec.labels).filter(([key]) => isRayLabel(key));
  return {
    HOME: '/',
    LANG: 'C.UTF-8',
    ...Object.fromEntries(inherited),
    ...(around.container ? { HOME: containerHome, USER: containerUser, LOGNAME: containerUser } : {}),
    // The entrypoint's `python` is the first on this path.
    PATH: `${join(around.environment, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    VIRTUAL_ENV: around.environment,
    [leaseMarker]: spec.leaseId,
    // How the head names this Ray node in its own resource state.
    RAY_CLOUD_INSTANCE_ID: spec.leaseId,
    RAY_NODE_TYPE_NAME: spec.group,
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN_PATH: around.container ? containerToken : tokenFile,
    RAY_USAGE_STATS_ENABLED: '0',
    RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S: '0',
    // On one machine a dead node is noticed in under 3 s instead of 15. Between machines a path may break and be found anew
    // (mesh/paths.ts), which no Ray node shall die of; of a dead machine the control plane knows anyway.
    RAY_health_check_period_ms: '1000',
    RAY_health_check_timeout_ms: '1000',
    RAY_health_check_failure_threshold: slotOf(spec.nodeIp) === null ? '3' : String(meshedHealthChecks),
    RAY_health_check_initial_delay_ms: '2000',
    ...(rayLabels.length > 0 ? { RAY_OVERRIDE_LABELS: JSON.stringify(Object.fromEntries(rayLabels)) } : {}),
    ...visibleDevices(spec, around.devices),
  };
}

/**
 * Real devices are named to Ray, and those that are leased to others are hidden; a simulated one is only counted, as no
 * library could open it. Without a device in the lease none can be seen.
 */
function visibleDevices(spec: LeaseSpec, devices: Surroundings['devices']): Record<string, string> {
  const leased = devices.filter(device => spec.deviceIndices.includes(device.index));
  const visible = (vendor: Device['vendor']) =>
    leased
      .filter(device => device.vendor === vendor)
      .map(device => device.index)
      .join(',');
  if (leased.some(device => device.simulated)) return {};
  const vendors = new Set(devices.filter(device => !device.simulated).map(device => device.vendor));
  return {
    ...(vendors.has('nvidia') ? { CUDA_VISIBLE_DEVICES: visible('nvidia') } : {}),
    ...(vendors.has('amd') ? { ROCR_VISIBLE_DEVICES: visible('amd') } : {}),
  };
}
