/** `iocloud observe`: a Prometheus with our rules beside the system that `iocloud up` runs, until Ctrl-C. */
import { access, mkdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { writePrivate } from './identity.js';
import { runningInstance } from './instance.js';
import { endChild, type Launch, spawnLaunch, waitReady } from './launch.js';
import { LogFile } from './log-file.js';
import { portHolder, portTaken } from './port-holder.js';
import { freePort } from './ports.js';
import { LaunchError, repository, type Settings } from './settings.js';

const readyTimeoutMs = 60_000;
const host = '127.0.0.1';

export interface ObserveOptions {
  /** 0: any free one. */
  port: number;
  /** Prometheus itself; absent: on the PATH, or where `make observe` has put it. */
  prometheus?: string;
  /** A glob of rule files. */
  rules?: string;
  scrapeSeconds: number;
  retention: string;
  /** One JSON line on stdout when ready, instead of words. */
  json: boolean;
}

/** Starts it and returns when a signal has ended it. Throws LaunchError. */
export async function observe(settings: Settings, options: ObserveOptions): Promise<void> {
  if (!runningInstance(settings.home)) {
    throw new LaunchError(`nothing runs with ${settings.home}: \`make up\` (or \`iocloud up\`) starts it`);
  }
  const command = await findPrometheus(settings.home, options.prometheus);
  const port = options.port === 0 ? await freePort() : options.port;
  if (await portTaken(host, port)) {
    throw new LaunchError(`port ${port} is taken by ${portHolder(port) ?? 'another process'}: set --port`);
  }
  const { address, apiKey } = await runningSystem(settings.home);
  const directory = join(settings.home, 'prometheus');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // By file: arguments show in the process list, and Prometheus shows its configuration to whoever asks.
  const credentials = join(directory, 'credentials');
  writePrivate(credentials, apiKey);
  const configuration = join(directory, 'prometheus.yml');
  const rules = options.rules ?? join(repository, 'dashboards', 'rules', '*.yaml');
  // JSON is YAML.
  writePrivate(
    configuration,
    JSON.stringify(prometheusConfig({ address, credentials, rules, scrapeSeconds: options.scrapeSeconds }), null, 2),
  );
  const url = `http://${host}:${port}`;
  const launch: Launch = {
    name: 'Prometheus',
    command,
    args: [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--storage.tsdb.retention.time=${options.retention}`,
      '--storage.tsdb.retention.size=2GB',
      `--web.listen-address=${host}:${port}`,
      '--enable-feature=exemplar-storage',
      '--log.level=warn',
    ],
    stopSignal: 'SIGTERM',
    stopDeadlineMs: 20_000,
    ready: child =>
      waitReady(child, 'Prometheus', readyTimeoutMs, async () => {
        const { status } = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2_000) });
        if (status !== 200) throw new Error(`it answers ${status}`);
      }),
  };
  await runUntilSignal(launch, join(settings.home, 'logs', 'prometheus.log'), () => {
    if (options.json) process.stdout.write(`${JSON.stringify({ url, scrapes: address, pid: process.pid })}\n`);
    else {
      process.stdout.write(
        `Prometheus at ${url} scrapes ${address}: ${url}/alerts, ${url}/rules\nCtrl-C stops it; what it has collected is kept in ${directory} (${options.retention})\n`,
      );
    }
  });
}

async function runUntilSignal(launch: Launch, logFile: string, onReady: () => void): Promise<void> {
  const interrupted = new Promise<'interrupted'>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('interrupted'));
  });
  const log = new LogFile(logFile);
  const child = spawnLaunch(launch, log);
  const ended = new Promise<Error>(resolve => {
    child.once('error', resolve);
    child.once('exit', (code, signal) => resolve(new Error(`Prometheus ended (${signal ?? `exit code ${code}`})`)));
  });
  const failure = (error: Error) => new LaunchError(`${error.message}; the end of ${log.path}:\n${log.tail(15)}`);
  try {
    const started = launch.ready(child).then(
      () => 'ready' as const,
      (error: Error) => error,
    );
    const first = await Promise.race([started, interrupted]);
    if (first instanceof Error) throw failure(first);
    if (first === 'interrupted') return;
    onReady();
    const last = await Promise.race([ended, interrupted]);
    if (last instanceof Error) throw failure(last);
  } finally {
    await endChild(child, launch);
    log.end();
  }
}

/** What of this system is scraped; the same jobs as dashboards/prometheus.example.yml. */
export function prometheusConfig(to: { address: string; credentials: string; rules: string; scrapeSeconds: number }) {
  const target = new URL(to.address);
  const reach = {
    scheme: target.protocol.slice(0, -1),
    // In service discovery Prometheus 2.42 has no default for the type.
    authorization: { type: 'Bearer', credentials_file: to.credentials },
  };
  const job = (job_name: string, metrics_path: string) => ({
    job_name,
    metrics_path,
    ...reach,
    static_configs: [{ targets: [target.host] }],
  });
  const interval = `${to.scrapeSeconds}s`;
  return {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: [to.rules],
    scrape_configs: [
      job('iocloud', '/metrics'),
      job('iocloud-nodes', '/v1/metrics/nodes'),
      job('iocloud-leases', '/v1/metrics/leases'),
      {
        job_name: 'iocloud-ray',
        ...reach,
        // The list names the addresses above, too: read twice they would count twice.
        relabel_configs: [
          { source_labels: ['iocloud_kind'], regex: 'ray', action: 'keep' },
          { regex: 'iocloud_kind', action: 'labeldrop' },
        ],
        http_sd_configs: [
          {
            url: new URL('/v1/metrics/targets', target).href,
            authorization: reach.authorization,
            refresh_interval: interval,
          },
        ],
      },
    ],
  };
}

async function findPrometheus(home: string, given: string | undefined): Promise<string> {
  const places = given
    ? [given]
    : [...(process.env.PATH ?? '').split(delimiter), join(home, 'tools')].map(directory =>
        join(directory, 'prometheus'),
      );
  for (const place of places) {
    const isThere = await access(place).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  throw new LaunchError(
    given
      ? `there is no ${given}`
      : 'no prometheus on the PATH: install it (Debian: apt-get install prometheus), or run `make observe`, which fetches it',
  );
}

/** As the launcher has written it for shells, and for the control plane. */
async function runningSystem(home: string): Promise<{ address: string; apiKey: string }> {
  const env = await readFile(join(home, 'env'), 'utf8').catch(() => '');
  const address = /^export IOCLOUD_ADDRESS='([^']+)'$/m.exec(env)?.[1];
  if (!address)
    throw new LaunchError(`${join(home, 'env')} names no address: has \`iocloud up\` said that it is ready?`);
  const bootstrap = await readFile(join(home, 'secrets', 'bootstrap.json'), 'utf8');
  return { address, apiKey: JSON.parse(bootstrap).apiKey };
}
