/** A real Prometheus that scrapes a control plane's leases. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Of `make test`; tests that need it are left out, and say so, where there is none. */
export const prometheusProgram = process.env.IOCLOUD_TEST_PROMETHEUS;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

export interface RunningPrometheus {
  url: string;
  stop(): Promise<void>;
}

const startsWithinMs = 30_000;

/** `target`: host:port; `apiKey`: of who reads there. */
export async function startPrometheus(
  program: string,
  { target, apiKey, scrapeInterval }: { target: string; apiKey: string; scrapeInterval: string },
): Promise<RunningPrometheus> {
  const directory = await mkdtemp(join(tmpdir(), 'iocloud-prometheus-'));
  const config = join(directory, 'prometheus.yml');
  const scrape = {
    job_name: 'iocloud-leases',
    metrics_path: '/v1/metrics/leases',
    scrape_interval: scrapeInterval,
    scrape_timeout: scrapeInterval,
    authorization: { credentials: apiKey },
    static_configs: [{ targets: [target] }],
  };
  // JSON is YAML.
  await writeFile(config, JSON.stringify({ scrape_configs: [scrape] }), { mode: 0o600 });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    program,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const stop = async () => {
    await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  for (const deadline = Date.now() + startsWithinMs; ; ) {
    const ready = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return { url, stop };
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`Prometheus did not start: ${said}`);
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
