/** A throwaway Kubernetes control plane on loopback: etcd, API server, scheduler and KWOK, without controllers or kubelets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../src/harness/index.js';
import { freePort } from '../bare-head.js';
import { KubeApi } from './api.js';
import type { Binaries } from './binaries.js';

/** All that is set other than by default. */
export const settings = {
  scheduler: {
    clientQps: 5_000,
    clientBurst: 5_000,
    scoring: 'NodeResourcesFit MostAllocated nvidia.com/gpu (packing, as ours)',
    percentageOfNodesToScore: 'default',
    parallelism: 'default',
  },
  apiServer: {
    priorityAndFairness: false,
    maxRequestsInflight: 3_000,
    maxMutatingRequestsInflight: 3_000,
    admissionPluginsOff: ['ServiceAccount', 'TaintNodesByCondition'],
  },
  etcd: { fsync: true },
  kwok: 'nodes and bound pods ready at once; no heartbeats or leases',
  connections: 32,
};

const { clientQps: qps, clientBurst: burst } = settings.scheduler;
const clockTicksPerSecond = 100;

export type Part = 'etcd' | 'kube-apiserver' | 'kube-scheduler' | 'kwok';

export class ControlPlane {
  readonly #children = new Map<Part, ChildProcess>();
  readonly #atExit = () => this.#kill();
  readonly #tokens = { admin: randomBytes(16).toString('hex'), scheduler: randomBytes(16).toString('hex') };
  #api: KubeApi | undefined;
  #scheduler: KubeApi | undefined;

  private constructor(
    readonly directory: string,
    readonly binaries: Binaries,
  ) {
    process.on('exit', this.#atExit);
  }

  static async start(binaries: Binaries): Promise<ControlPlane> {
    const plane = new ControlPlane(mkdtempSync(join(tmpdir(), 'iocloud-kube-')), binaries);
    try {
      await plane.#start();
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  get api(): KubeApi {
    if (!this.#api) throw new Error('the API server has not been started');
    return this.#api;
  }

  /** The scheduler's own figures, in Prometheus' text. */
  async schedulerMetrics(): Promise<string> {
    return (await this.#scheduler?.call('GET', '/metrics')) ?? '';
  }

  /** CPU seconds that each part, and the client that this process is, has used so far. */
  cpuSeconds(): Record<string, number> {
    const { user, system } = process.cpuUsage();
    return Object.fromEntries<number>([
      ['client', (user + system) / 1e6],
      ...[...this.#children].map(([part, { pid }]) => {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return [part, (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond] as [string, number];
      }),
    ]);
  }

  /** Throws when a part has ended by itself, with the end of its log. */
  check(): void {
    for (const [part, child] of this.#children) {
      if (child.exitCode === null && child.signalCode === null) continue;
      const log = readFileSync(join(this.directory, `${part}.log`), 'utf8')
        .trim()
        .split('\n')
        .slice(-5)
        .join('\n');
      throw new Error(`${part} ended with ${child.exitCode ?? child.signalCode}:\n${log}`);
    }
  }

  async stop(): Promise<void> {
    this.#api?.close();
    this.#scheduler?.close();
    for (const child of this.#children.values()) child.kill('SIGKILL');
    await until('Kubernetes ends', 10_000, () =>
      [...this.#children.values()].every(child => child.exitCode !== null || child.signalCode !== null),
    );
    process.off('exit', this.#atExit);
    this.#kill();
  }

  /** Nothing of it is worth an orderly end. Also when the process leaves by an error or Ctrl-C. */
  #kill(): void {
    for (const child of this.#children.values()) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #start(): Promise<void> {
    const [client, peer, secure, scheduler] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const etcd = `http://127.0.0.1:${client}`;
    this.#spawn('etcd', [
      ...['--data-dir', this.#path('etcd'), '--log-level', 'warn', '--quota-backend-bytes', String(4 * 2 ** 30)],
      ...['--listen-client-urls', etcd, '--advertise-client-urls', etcd],
      ...['--listen-peer-urls', `http://127.0.0.1:${peer}`],
      ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
      ...['--initial-cluster', `default=http://127.0.0.1:${peer}`],
    ]);
    await this.#writeKeys();
    const address = `https://127.0.0.1:${secure}`;
    const { maxRequestsInflight, maxMutatingRequestsInflight, admissionPluginsOff } = settings.apiServer;
    this.#spawn('kube-apiserver', [
      ...['--etcd-servers', etcd, '--secure-port', String(secure), '--cert-dir', this.#path('certificates')],
      ...['--bind-address', '127.0.0.1', '--advertise-address', '127.0.0.1', '--endpoint-reconciler-type', 'none'],
      ...['--authorization-mode', 'RBAC', '--token-auth-file', this.#path('tokens.csv')],
      ...['--service-account-issuer', address, '--service-account-key-file', this.#path('account.pub')],
      ...[
        '--service-account-signing-key-file',
        this.#path('account.key'),
        '--service-cluster-ip-range',
        '10.96.0.0/16',
      ],
      ...['--disable-admission-plugins', admissionPluginsOff.join(), '--enable-priority-and-fairness=false'],
      `--max-requests-inflight=${maxRequestsInflight}`,
      `--max-mutating-requests-inflight=${maxMutatingRequestsInflight}`,
    ]);
    await this.#ready(async () => {
      const ca = await readFile(join(this.#path('certificates'), 'apiserver.crt'), 'utf8');
      this.#api ??= new KubeApi(address, this.#tokens.admin, ca, settings.connections);
      return this.#api.call('GET', '/readyz');
    });
    await this.#startScheduler(address, scheduler);
    await this.#writeKubeconfig('admin', address, this.#tokens.admin);
    this.#spawn('kwok', [
      ...['--kubeconfig', this.#path('admin.kubeconfig'), '--config', this.binaries.stages],
      ...['--manage-all-nodes=true', '--cidr', '10.128.0.0/9', '--node-ip', '127.0.0.1'],
      ...['--node-lease-duration-seconds', '0', '--server-address', `127.0.0.1:${await freePort()}`],
    ]);
  }

  async #startScheduler(address: string, port: number): Promise<void> {
    await this.#writeKubeconfig('scheduler', address, this.#tokens.scheduler);
    const kubeconfig = this.#path('scheduler.kubeconfig');
    const packing = { type: 'MostAllocated', resources: [{ name: 'nvidia.com/gpu', weight: 1 }] };
    await this.#write('scheduler.yaml', {
      apiVersion: 'kubescheduler.config.k8s.io/v1',
      kind: 'KubeSchedulerConfiguration',
      clientConnection: { kubeconfig, qps, burst },
      leaderElection: { leaderElect: false },
      profiles: [
        {
          schedulerName: 'default-scheduler',
          pluginConfig: [{ name: 'NodeResourcesFit', args: { scoringStrategy: packing } }],
        },
      ],
    });
    const certificates = this.#path('scheduler-certificates');
    this.#spawn('kube-scheduler', [
      ...['--config', this.#path('scheduler.yaml'), '--bind-address', '127.0.0.1', '--secure-port', String(port)],
      ...['--cert-dir', certificates, '--authorization-always-allow-paths', '/healthz,/readyz,/metrics'],
      ...['--authentication-kubeconfig', kubeconfig, '--authorization-kubeconfig', kubeconfig],
      '--authentication-skip-lookup=true',
    ]);
    await this.#ready(async () => {
      const ca = await readFile(join(certificates, 'kube-scheduler.crt'), 'utf8');
      this.#scheduler ??= new KubeApi(`https://127.0.0.1:${port}`, this.#tokens.admin, ca, 1);
      return this.#scheduler.call('GET', '/healthz');
    });
  }

  async #writeKeys(): Promise<void> {
    const { publicKey, privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    await this.#write('account.key', privateKey);
    await this.#write('account.pub', publicKey);
    const { admin, scheduler } = this.#tokens;
    const scheduling = 'system:kube-scheduler';
    await this.#write('tokens.csv', `${admin},admin,admin,system:masters\n${scheduler},${scheduling},${scheduling}\n`);
    await mkdir(this.#path('certificates'));
  }

  #writeKubeconfig(name: string, server: string, token: string): Promise<void> {
    return this.#write(`${name}.kubeconfig`, {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'bench',
      contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
      clusters: [
        {
          name: 'bench',
          cluster: { server, 'certificate-authority': join(this.#path('certificates'), 'apiserver.crt') },
        },
      ],
      users: [{ name: 'bench', user: { token } }],
    });
  }

  #spawn(part: Part, args: string[]): void {
    const log = openSync(this.#path(`${part}.log`), 'w');
    const { server, kwok } = this.binaries;
    const child = spawn(part === 'kwok' ? kwok : server, part === 'kwok' ? args : [part, ...args], {
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, HOME: this.directory },
    });
    closeSync(log);
    this.#children.set(part, child);
  }

  async #ready(ask: () => Promise<string>): Promise<void> {
    let failure: unknown;
    await until('Kubernetes answers', 60_000, async () => {
      try {
        this.check();
      } catch (error) {
        failure = error;
        return true;
      }
      return (await ask()) === 'ok';
    });
    if (failure) throw failure;
  }

  #path(name: string): string {
    return join(this.directory, name);
  }

  /** Kubernetes reads JSON wherever it reads YAML. */
  #write(name: string, content: string | object): Promise<void> {
    return writeFile(this.#path(name), typeof content === 'string' ? content : JSON.stringify(content), {
      mode: 0o600,
    });
  }
}
