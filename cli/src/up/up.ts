/** `iocloud up`: the whole system on this machine, until Ctrl-C. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SignedRelease } from './agent-release.js';
import { ensureIdentity, writeAgentConfig, writeEnvFile } from './identity.js';
import { takeInstance } from './instance.js';
import { type Launch, waitReady } from './launch.js';
import { portHolder, portTaken } from './port-holder.js';
import { freePort } from './ports.js';
import { preparePostgres } from './postgres.js';
import { prepareRedis } from './redis.js';
import { runSelfCheck } from './self-check.js';
import { LaunchError, repository, type Settings } from './settings.js';
import { Supervisor } from './supervisor.js';

const readyTimeoutMs = 60_000;

export interface UpOptions {
  selfCheck: boolean;
  /** One JSON line on stdout when ready, instead of words. */
  json: boolean;
}

/** Starts everything and returns when a signal has ended it. Throws LaunchError when something cannot be started. */
export async function up(settings: Settings, options: UpOptions): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  if (!existsSync(join(settings.venv, 'bin', 'ray'))) {
    throw new LaunchError(`no Ray in ${settings.venv}: run \`make up\`, which sets it up`);
  }
  mkdirSync(settings.home, { recursive: true, mode: 0o700 });
  const release = takeInstance(settings.home);
  const supervisor = new Supervisor(settings.home, say);
  const interrupted = new Promise<string>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
  try {
    const running = start(settings, options, supervisor, say);
    // A signal during the start ends it too; what the start then still says is of no interest.
    const first = await Promise.race([running.then(() => null), interrupted]);
    if (first === null) await interrupted;
    else running.catch(() => undefined);
    say('\nstopping …');
  } finally {
    await supervisor.stop();
    release();
    say('stopped; data is kept');
  }
}

async function start(settings: Settings, options: UpOptions, supervisor: Supervisor, say: (line: string) => void) {
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const started = Date.now();
    const result = await work();
    say(`  ${what}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
    return result;
  };
  await supervisor.endLeftovers();
  const httpPort = settings.port === 0 ? await freePort(settings.host) : settings.port;
  if (await portTaken(settings.host, httpPort)) {
    const holder = portHolder(httpPort) ?? 'a process that cannot be seen from here';
    throw new LaunchError(`port ${httpPort} is taken by ${holder}: stop that, or set IOCLOUD_PORT`);
  }
  const sshPort = settings.sshPort === 0 ? await freePort() : settings.sshPort;
  const identity = ensureIdentity(settings);
  const secret = (name: string) => join(identity.secretsDir, name);

  const prepared = async (what: string, prepare: () => Promise<{ launch: Launch; url: string }>): Promise<string> =>
    timed(what, async () => {
      const { launch, url } = await prepare();
      await supervisor.start(launch);
      return url;
    });
  const databaseUrl =
    settings.databaseUrl ??
    (await prepared('PostgreSQL', async () =>
      preparePostgres({
        dataDir: join(settings.home, 'postgres'),
        port: await freePort(),
        passwordFile: secret('postgres-password'),
      }),
    ));
  const redisUrl =
    settings.redisUrl ??
    (await prepared('Redis', async () =>
      prepareRedis({
        dataDir: join(settings.home, 'redis'),
        port: await freePort(),
        passwordFile: secret('redis-password'),
        venvDirs: [...settings.redisVenvs, settings.venv],
      }),
    ));
  const reachable = settings.host === '0.0.0.0' ? '127.0.0.1' : settings.host;
  const address = `http://${reachable}:${httpPort}`;
  await timed('control plane', () =>
    supervisor.start(controlPlane(settings, identity, { databaseUrl, redisUrl, httpPort, sshPort, address })),
  );
  const agentConfig = writeAgentConfig(settings, identity, sshPort);
  await timed("this machine's agent", () => supervisor.start(agent(agentConfig, address, identity)));
  const envFile = writeEnvFile(settings, identity, address, repository);
  if (options.selfCheck) await runSelfCheck(settings, identity.apiKey, address, say);
  if (options.json)
    process.stdout.write(`${JSON.stringify({ address, envFile, home: settings.home, pid: process.pid })}\n`);
  else await banner(address, envFile, identity.apiKey);
}

interface Wiring {
  databaseUrl: string;
  redisUrl: string;
  httpPort: number;
  sshPort: number;
  address: string;
}

/** Without what is the launcher's own: the control plane refuses keys that it does not know. */
function controlPlane(
  settings: Settings,
  identity: { secretsDir: string; bootstrapFile: string; release: SignedRelease },
  wiring: Wiring,
): Launch {
  const isLocal = ['127.0.0.1', '::1', 'localhost'].includes(settings.host);
  return {
    name: 'control plane',
    command: process.execPath,
    // What a busy one makes for a moment (rows, answers) is gone before it has to be moved: MiB, used only when needed.
    args: ['--enable-source-maps', '--max-semi-space-size=32', join(repository, 'control-plane/dist/main.js')],
    ipc: true,
    env: {
      ...process.env,
      DATABASE_URL: wiring.databaseUrl,
      REDIS_URL: wiring.redisUrl,
      IOCLOUD_HTTP_HOST: settings.host,
      IOCLOUD_HTTP_PORT: String(wiring.httpPort),
      IOCLOUD_SSH_PORT: String(wiring.sshPort),
      IOCLOUD_DATA_DIR: join(settings.home, 'data'),
      IOCLOUD_SECRETS_DIR: identity.secretsDir,
      IOCLOUD_BOOTSTRAP_FILE: identity.bootstrapFile,
      IOCLOUD_AGENT_RELEASE_DIR: identity.release.directory,
      IOCLOUD_AGENT_RELEASE_KEY: identity.release.publicKeyFile,
      IOCLOUD_AGENT_SIGNING_KEY: undefined,
      // Whoever can ask for webhooks on this machine is on this machine.
      IOCLOUD_WEBHOOK_NETWORKS: process.env.IOCLOUD_WEBHOOK_NETWORKS ?? (isLocal ? '127.0.0.0/8,::1/128' : ''),
      // A Kubernetes of one's own is on this machine or in a network of the house.
      IOCLOUD_PROVIDER_NETWORKS:
        process.env.IOCLOUD_PROVIDER_NETWORKS ??
        (isLocal ? '127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7' : ''),
    },
    stopSignal: 'SIGTERM',
    stopDeadlineMs: 10_000,
    ready: child =>
      waitReady(child, 'the control plane', readyTimeoutMs, async () => {
        const response = await fetch(`${wiring.address}/readyz`, { signal: AbortSignal.timeout(2_000) });
        if (response.status !== 200) throw new Error(`/readyz: ${(await response.text()).slice(0, 200)}`);
      }),
  };
}

function agent(config: string, address: string, identity: { nodeId: string; apiKey: string }): Launch {
  return {
    name: 'agent',
    command: process.execPath,
    args: ['--enable-source-maps', join(repository, 'worker-bootstrap/dist/main.js'), '--config', config],
    ipc: true,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: undefined },
    stopSignal: 'SIGTERM',
    stopDeadlineMs: 30_000,
    ready: child =>
      waitReady(child, 'the agent', readyTimeoutMs, async () => {
        const response = await fetch(`${address}/v1/nodes/${identity.nodeId}`, {
          headers: { authorization: `Bearer ${identity.apiKey}` },
          signal: AbortSignal.timeout(2_000),
        });
        const node = (await response.json()) as { state?: string; detail?: string };
        if (node.state !== 'online') throw new Error(`this machine is ${node.state ?? node.detail}`);
      }),
  };
}

async function dashboardLink(address: string, apiKey: string): Promise<string> {
  const headers = { authorization: `Bearer ${apiKey}` };
  const list = (await (await fetch(`${address}/v1/clusters`, { headers })).json()) as {
    items?: { id: string; phase: string }[];
  };
  const ready = list.items?.find(cluster => cluster.phase === 'ready');
  if (!ready) return `${address}/clusters/ (once a cluster runs)`;
  const link = await fetch(`${address}/v1/clusters/${ready.id}/dashboard-link`, { method: 'POST', headers });
  return ((await link.json()) as { url: string }).url;
}

async function banner(address: string, envFile: string, apiKey: string): Promise<void> {
  process.stdout.write(`
The control plane is ready.

  address       ${address}
  credentials   source ${envFile}
  first job     source ${envFile} && ray job submit -- python -c 'import ray; ray.init(); print(ray.cluster_resources())'
  dashboard     ${await dashboardLink(address, apiKey)}
                (the link works once, within minutes; \`iocloud cluster dashboard\` makes another)
  API           ${address}/docs/
  stop          Ctrl-C (data is kept; \`make clean\` removes all)

`);
}
