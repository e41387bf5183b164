/** The configuration of a control plane process, read once at start from the environment. */
import { resolve } from 'node:path';
import { defaultNodeLostSeconds, largestArray, minNodeLostSeconds } from '@iocloud/contracts';
import { z } from 'zod';

const seconds = (fallback: number) => z.coerce.number().min(0).default(fallback);
const bytes = (fallback: number) => z.coerce.number().int().positive().default(fallback);

/**
 * A Ray head takes no request body of 100 MiB or more (ray_constants.DASHBOARD_CLIENT_MAX_SIZE; no setting changes it):
 * a larger package could be stored here but never be handed on.
 */
const headPackageLimitBytes = 100 * 2 ** 20 - 1;

/** A part of the rent in percent with at most four decimals; read as millionths. */
const percent = (fallback: string) =>
  z
    .string()
    .regex(/^(100|\d{1,2})(\.\d{1,4})?$/, 'a percentage from 0 to 100 such as 0.25')
    .default(fallback)
    .transform(text => BigInt(Math.round(Number(text) * 10_000)))
    .refine(ppm => ppm <= 1_000_000n, 'at most 100');

const networks = z
  .string()
  .default('')
  .transform(text =>
    text
      .split(',')
      .map(part => part.trim())
      .filter(part => part !== ''),
  )
  .pipe(z.array(z.union([z.cidrv4(), z.cidrv6()], 'networks such as 10.0.0.0/8,::1/128')));

const schema = z.object({
  DATABASE_URL: z.url().describe('PostgreSQL, postgres://user:password@host:port/database'),
  REDIS_URL: z.url().describe('Redis, redis://[:password@]host:port'),
  IOCLOUD_HTTP_HOST: z.string().default('127.0.0.1'),
  IOCLOUD_HTTP_PORT: z.coerce.number().int().min(0).max(65535).default(8265),
  IOCLOUD_SSH_HOST: z.string().default('127.0.0.1'),
  IOCLOUD_SSH_PORT: z.coerce.number().int().min(0).max(65535).default(8266),
  IOCLOUD_DATA_DIR: z.string().min(1).describe('where packages are kept'),
  IOCLOUD_CHECKPOINT_ROOT: z
    .string()
    .regex(
      /^(\/|[a-z][a-z0-9+.-]*:\/\/)/i,
      'an absolute path that all machines mount, or a URL such as s3://bucket/path',
    )
    .optional()
    .describe('where jobs keep checkpoints'),
  IOCLOUD_SECRETS_DIR: z.string().min(1).describe('session-secret, seal-key, ssh_host_ed25519_key'),
  IOCLOUD_AGENT_RELEASE_DIR: z.string().min(1).optional().describe('the packed agent that joining machines fetch'),
  IOCLOUD_AGENT_RELEASE_KEY: z
    .string()
    .min(1)
    .optional()
    .describe('file with the public key that releases of the agent are signed with'),
  IOCLOUD_BOOTSTRAP_FILE: z.string().optional().describe('JSON: first tenant, user, key and nodes'),
  IOCLOUD_PUBLIC_URL: z.url().optional().describe('how browsers reach this server, when not by host and port'),
  IOCLOUD_PUBLIC_SSH: z
    .string()
    .regex(/^([^\s:]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/, 'host:port')
    .optional()
    .describe('how agents reach the SSH server, when not by the host of IOCLOUD_PUBLIC_URL and its own port'),
  IOCLOUD_RAY_VERSION: z.string().default('2.60.0').describe('Ray release of clusters that name none'),
  IOCLOUD_IDLE_TIMEOUT_SECONDS: seconds(600).describe('life of an idle cluster that a job brought up'),
  IOCLOUD_MAX_PACKAGE_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .max(headPackageLimitBytes, `a Ray head takes no more than ${headPackageLimitBytes}`)
    .default(headPackageLimitBytes)
    .describe('largest runtime-env package'),
  IOCLOUD_PACKAGE_TTL_SECONDS: seconds(7 * 86_400).describe('life of a package that no job uses'),
  IOCLOUD_MAX_JOB_LOG_BYTES: bytes(4 * 2 ** 30).describe('log kept of one attempt; what follows is dropped and said'),
  IOCLOUD_MAX_JOBS_PER_CLUSTER: z.coerce.number().int().min(1).default(32).describe('jobs at once on one cluster'),
  IOCLOUD_MAX_ARRAY_SIZE: z.coerce
    .number()
    .int()
    .min(1)
    .max(largestArray)
    .default(10_000)
    .describe('indices of one array job at most'),
  IOCLOUD_NODE_LOST_SECONDS: z.coerce
    .number()
    .min(minNodeLostSeconds)
    .default(defaultNodeLostSeconds)
    .describe('silence after which the leases of a node count as lost; it ends them itself before that'),
  IOCLOUD_TELEMETRY_HOURS: z.coerce
    .number()
    .min(1)
    .max(168)
    .default(6)
    .describe('how long what machines measure of themselves is kept'),
  PROMETHEUS_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('a Prometheus that scrapes /v1/metrics/leases, from which usage is read'),
  IOCLOUD_METERING_WINDOW_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(3600)
    .refine(value => 3600 % value === 0, 'a whole part of an hour')
    .default(3600)
    .describe('length of the windows that usage is metered in'),
  IOCLOUD_METERING_GRACE_SECONDS: seconds(60).describe('after the end of a window until it is closed'),
  IOCLOUD_AUDIT_DAYS: z.coerce
    .number()
    .int()
    .min(1)
    .max(36_500)
    .default(400)
    .describe('how long the record of SSH sessions and of refused calls is kept'),
  IOCLOUD_VERIFICATION: z
    .enum(['shared', 'off'])
    .default('shared')
    .describe('shared: a machine is offered to other tenants only once it has proven what it is; off: at once'),
  IOCLOUD_VERIFICATION_SLACK: z.coerce
    .number()
    .min(1)
    .max(100)
    .default(1)
    .describe('so many times as long as usual thresholds say may a pass of a proof take'),
  IOCLOUD_FEE_PERCENT: percent('2').describe('of the rent, from a renter who pays in anything but IO'),
  IOCLOUD_FEE_PERCENT_IO: percent('0').describe('of the rent, from a renter who pays in IO'),
  IOCLOUD_RENTER_FEE_PERCENT: percent('0.25').describe('reservation fee, from the renter on top of the rent'),
  IOCLOUD_SUPPLIER_FEE_PERCENT: percent('0.25').describe('reservation fee, from the supplier out of the rent'),
  IOCLOUD_BILLING: z
    .enum(['off', 'prepaid'])
    .default('off')
    .describe('off: what usage costs is shown, and nothing is paid; prepaid: machines of others take money set aside'),
  IOCLOUD_HOLD_MINUTES: z.coerce
    .number()
    .int()
    .min(10)
    .max(43_200)
    .default(60)
    .describe('for how long ahead the hold of an order pays; it grows when half of that is used'),
  IOCLOUD_LOW_BALANCE_HOURS: z.coerce
    .number()
    .min(0)
    .max(8_760)
    .default(24)
    .describe('a tenant whose money pays what it runs for less than so many hours is warned'),
  IOCLOUD_PRICING_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('JSON: base prices and terms of pricing, docs/pricing.md'),
  IOCLOUD_INVOICE_DELAY_HOURS: z.coerce
    .number()
    .min(1)
    .max(720)
    .default(48)
    .describe('how long after its end a month is closed; until then late usage is still on its own invoice'),
  IOCLOUD_INVOICE_ISSUER_FILE: z.string().min(1).optional().describe('JSON: who issues invoices, docs/invoices.md'),
  IOCLOUD_WEBHOOK_NETWORKS: networks.describe('private networks into which webhooks may be sent, also without TLS'),
  IOCLOUD_PROVIDER_NETWORKS: networks.describe('private networks in which API servers of Kubernetes may be'),
  IOCLOUD_WEBHOOK_LOG_DAYS: z.coerce
    .number()
    .int()
    .min(4)
    .max(400)
    .default(30)
    .describe('how long it is kept what was sent to webhooks'),
  SOLANA_RPC_URL: z.url().optional().describe('JSON-RPC of a Solana node; absent: nothing is settled on a chain'),
  IOCLOUD_SETTLEMENT_FILE: z.string().min(1).optional().describe('JSON: mints, limits and waits, docs/settlement.md'),
  IOCLOUD_SETTLEMENT_KEYSTORE: z
    .string()
    .min(1)
    .optional()
    .describe('the keystore that `iocloud settlement init` made'),
  IOCLOUD_SETTLEMENT_PASSPHRASE_FILE: z.string().min(1).optional().describe('file with the passphrase of the keystore'),
  IOCLOUD_TOKEN_FILE: z
    .string()
    .min(1)
    .optional()
    .describe('JSON: when emission begins, its schedule and the first parameters, docs/token.md'),
  IOCLOUD_CHECK_MINUTES: z.coerce
    .number()
    .min(1)
    .max(10_080)
    .default(60)
    .describe('how often ledger, charges and invoices are checked against each other'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('a collector that takes OTLP over HTTP; absent: nothing is traced'),
  IOCLOUD_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** All that this process reads. */
export const configKeys: readonly string[] = Object.keys(schema.shape);

export interface Config {
  databaseUrl: string;
  redisUrl: string;
  httpHost: string;
  httpPort: number;
  sshHost: string;
  sshPort: number;
  dataDir: string;
  /** A directory or a URL. */
  checkpointRoot: string;
  secretsDir: string;
  agentReleaseDir: string | undefined;
  agentReleaseKeyFile: string | undefined;
  bootstrapFile: string | undefined;
  publicUrl: string | undefined;
  publicSsh: { host: string; port: number } | undefined;
  rayVersion: string;
  idleTimeoutSeconds: number;
  maxPackageBytes: number;
  packageTtlSeconds: number;
  maxJobLogBytes: number;
  maxJobsPerCluster: number;
  maxArraySize: number;
  nodeLostSeconds: number;
  telemetryHours: number;
  prometheusUrl: string | undefined;
  meteringWindowSeconds: number;
  meteringGraceSeconds: number;
  auditDays: number;
  verification: 'shared' | 'off';
  verificationSlack: number;
  /** In millionths of the rent; as core/billing takes them. */
  fees: {
    paymentPpm: bigint;
    paymentInIoPpm: bigint;
    reservationRenterPpm: bigint;
    reservationSupplierPpm: bigint;
  };
  billing: 'off' | 'prepaid';
  holdMinutes: number;
  lowBalanceHours: number;
  pricingFile: string | undefined;
  invoiceDelayHours: number;
  invoiceIssuerFile: string | undefined;
  /** CIDR. */
  webhookNetworks: string[];
  providerNetworks: string[];
  webhookLogDays: number;
  /** Undefined: nothing is settled on a chain, and the next three are not read. */
  solanaRpcUrl: string | undefined;
  settlementFile: string | undefined;
  settlementKeystore: string | undefined;
  settlementPassphraseFile: string | undefined;
  tokenFile: string | undefined;
  checkMinutes: number;
  /** Undefined: nothing is traced. */
  otlpEndpoint: string | undefined;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** Says in one line which key is wrong and why. */
export class ConfigError extends Error {}

/** Variables with our prefix that are the launcher's or the client's, not this process's. */
const foreign = new Set([
  'IOCLOUD_HOME',
  'IOCLOUD_HOST',
  'IOCLOUD_PORT',
  'IOCLOUD_VENV',
  'IOCLOUD_REDIS_VENV',
  'IOCLOUD_WIREGUARD_GO',
  'IOCLOUD_KUBEBED',
  'IOCLOUD_KWOK',
  'IOCLOUD_KUBERNETES_NODE',
  'IOCLOUD_COREDNS',
  'IOCLOUD_API_KEY',
  'IOCLOUD_AGENT_SIGNING_KEY',
  'IOCLOUD_ADDRESS',
]);
const foreignPrefix = /^IOCLOUD_(NODE_CPUS|NODE_MEMORY_BYTES|SIMULATED_GPUS|TEST_)/;

/** Parses the environment. Throws ConfigError on an unknown IOCLOUD_ key or a bad value. */
export function parseConfig(environment: Record<string, string | undefined>): Config {
  for (const key of Object.keys(environment)) {
    if (key.startsWith('IOCLOUD_') && !(key in schema.shape) && !foreign.has(key) && !foreignPrefix.test(key)) {
      throw new ConfigError(`unknown configuration key ${key}; the known ones are in README.md, "Configuration"`);
    }
  }
  const parsed = schema.safeParse(environment);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`);
    throw new ConfigError(`bad configuration: ${faults.join('; ')} (README.md, "Configuration")`);
  }
  const value = parsed.data;
  return {
    databaseUrl: value.DATABASE_URL,
    redisUrl: value.REDIS_URL,
    httpHost: value.IOCLOUD_HTTP_HOST,
    httpPort: value.IOCLOUD_HTTP_PORT,
    sshHost: value.IOCLOUD_SSH_HOST,
    sshPort: value.IOCLOUD_SSH_PORT,
    dataDir: value.IOCLOUD_DATA_DIR,
    checkpointRoot: value.IOCLOUD_CHECKPOINT_ROOT ?? resolve(value.IOCLOUD_DATA_DIR, 'checkpoints'),
    secretsDir: value.IOCLOUD_SECRETS_DIR,
    agentReleaseDir: value.IOCLOUD_AGENT_RELEASE_DIR,
    agentReleaseKeyFile: value.IOCLOUD_AGENT_RELEASE_KEY,
    bootstrapFile: value.IOCLOUD_BOOTSTRAP_FILE,
    publicUrl: value.IOCLOUD_PUBLIC_URL,
    publicSsh: hostAndPort(value.IOCLOUD_PUBLIC_SSH),
    rayVersion: value.IOCLOUD_RAY_VERSION,
    idleTimeoutSeconds: value.IOCLOUD_IDLE_TIMEOUT_SECONDS,
    maxPackageBytes: value.IOCLOUD_MAX_PACKAGE_BYTES,
    packageTtlSeconds: value.IOCLOUD_PACKAGE_TTL_SECONDS,
    maxJobLogBytes: value.IOCLOUD_MAX_JOB_LOG_BYTES,
    maxJobsPerCluster: value.IOCLOUD_MAX_JOBS_PER_CLUSTER,
    maxArraySize: value.IOCLOUD_MAX_ARRAY_SIZE,
    nodeLostSeconds: value.IOCLOUD_NODE_LOST_SECONDS,
    telemetryHours: value.IOCLOUD_TELEMETRY_HOURS,
    prometheusUrl: value.PROMETHEUS_URL,
    meteringWindowSeconds: value.IOCLOUD_METERING_WINDOW_SECONDS,
    meteringGraceSeconds: value.IOCLOUD_METERING_GRACE_SECONDS,
    auditDays: value.IOCLOUD_AUDIT_DAYS,
    verification: value.IOCLOUD_VERIFICATION,
    verificationSlack: value.IOCLOUD_VERIFICATION_SLACK,
    fees: {
      paymentPpm: value.IOCLOUD_FEE_PERCENT,
      paymentInIoPpm: value.IOCLOUD_FEE_PERCENT_IO,
      reservationRenterPpm: value.IOCLOUD_RENTER_FEE_PERCENT,
      reservationSupplierPpm: value.IOCLOUD_SUPPLIER_FEE_PERCENT,
    },
    billing: value.IOCLOUD_BILLING,
    holdMinutes: value.IOCLOUD_HOLD_MINUTES,
    lowBalanceHours: value.IOCLOUD_LOW_BALANCE_HOURS,
    pricingFile: value.IOCLOUD_PRICING_FILE,
    invoiceDelayHours: value.IOCLOUD_INVOICE_DELAY_HOURS,
    invoiceIssuerFile: value.IOCLOUD_INVOICE_ISSUER_FILE,
    webhookNetworks: value.IOCLOUD_WEBHOOK_NETWORKS,
    providerNetworks: value.IOCLOUD_PROVIDER_NETWORKS,
    webhookLogDays: value.IOCLOUD_WEBHOOK_LOG_DAYS,
    solanaRpcUrl: value.SOLANA_RPC_URL,
    settlementFile: value.IOCLOUD_SETTLEMENT_FILE,
    settlementKeystore: value.IOCLOUD_SETTLEMENT_KEYSTORE,
    settlementPassphraseFile: value.IOCLOUD_SETTLEMENT_PASSPHRASE_FILE,
    tokenFile: value.IOCLOUD_TOKEN_FILE,
    checkMinutes: value.IOCLOUD_CHECK_MINUTES,
    otlpEndpoint: value.OTEL_EXPORTER_OTLP_ENDPOINT,
    logLevel: value.IOCLOUD_LOG_LEVEL,
  };
}

function hostAndPort(text: string | undefined): { host: string; port: number } | undefined {
  if (text === undefined) return undefined;
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
  return { host, port: Number(port) };
}
