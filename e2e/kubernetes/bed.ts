/**
 * A Kubernetes of one's own for a test: etcd, API server with RBAC, controller manager, scheduler, and KWOK playing nodes
 * and kubelets. On free ports and in a directory of its own, so that several run side by side; when the test process
 * dies, however, the kernel ends all of it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect, KubernetesClient } from '@iocloud/ray-operator';
import { answers } from './health.js';

export interface BedOptions {
  /** Play nodes with KWOK; without it a pod stays as it was made, and the test says what becomes of it. */
  kwok?: boolean;
  controllers?: boolean;
  scheduler?: boolean;
  /** Runs as soon as the API server answers: the garbage collector takes half a minute to see a kind that comes later. */
  prepare?: (bed: Bed) => Promise<void>;
}

const users = {
  admin: 'system:masters',
  'system:kube-controller-manager': '',
  'system:kube-scheduler': '',
  'system:kwok': 'system:masters',
} as const;
type User = keyof typeof users;

const startDeadlineMs = 60_000;

function programs(): { kubebed: string; kwok: string } {
  const { IOCLOUD_KUBEBED: kubebed, IOCLOUD_KWOK: kwok } = process.env;
  if (!kubebed || !kwok)
    throw new Error(
      'no Kubernetes: `node scripts/setup.mjs --tests` builds it and prints IOCLOUD_KUBEBED and IOCLOUD_KWOK',
    );
  return { kubebed, kwok };
}

export class Bed {
  private readonly children = new Map<string, ChildProcess>();
  private readonly tokens = new Map<User, string>();
  private ports = { api: 0, etcd: 0, peer: 0, controllers: 0, scheduler: 0, kwok: 0 };

  private constructor(readonly directory: string) {}

  static async start(options: BedOptions = {}): Promise<Bed> {
    const bed = new Bed(await mkdtemp(join(tmpdir(), 'iocloud-bed-')));
    try {
      await bed.startAll(options);
      return bed;
    } catch (error) {
      await bed.stop();
      throw error;
    }
  }

  get server(): string {
    return `https://127.0.0.1:${this.ports.api}`;
  }

  get apiPort(): number {
    return this.ports.api;
  }

  kubeconfig(user: User = 'admin'): string {
    return join(this.directory, `${user.replace(/\W/g, '-')}.kubeconfig`);
  }

  /** A client with all rights. */
  async admin(): Promise<KubernetesClient> {
    const directory = join(this.directory, 'admin-account');
    await this.writeAccount(directory, this.tokens.get('admin') ?? '');
    return new KubernetesClient(await connect(this.accountEnvironment(directory)));
  }

  /** As in a pod of this service account: its token and the CA in a directory, and the variables that name the server. */
  async serviceAccount(namespace: string, name: string): Promise<NodeJS.ProcessEnv> {
    const admin = await this.admin();
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
    const { status } = await admin.post<{ status: { token: string } }>(path, request);
    const directory = join(this.directory, `account-${namespace}-${name}`);
    await this.writeAccount(directory, status.token);
    return this.accountEnvironment(directory);
  }

  async kubectl(...args: string[]): Promise<string> {
    const { kubebed } = programs();
    const all = ['kubectl', '--kubeconfig', this.kubeconfig(), ...args];
    const { stdout } = await promisify(execFile)(kubebed, all, { maxBuffer: 64 << 20 });
    return stdout;
  }

  async apply(file: string): Promise<void> {
    await this.kubectl('apply', '--server-side', '-f', file);
  }

  /** As at a crash: what is in etcd stays. */
  async killApiServer(): Promise<void> {
    await this.end('kube-apiserver', 'SIGKILL');
  }

  async startApiServer(): Promise<void> {
    const { pki, etcd } = { pki: join(this.directory, 'pki'), etcd: `http://127.0.0.1:${this.ports.etcd}` };
    this.spawn('kube-apiserver', [
      `--etcd-servers=${etcd}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${this.ports.api}`,
      '--endpoint-reconciler-type=none',
      `--cert-dir=${pki}`,
      '--authorization-mode=Node,RBAC',
      // Owner references that block deletion need a right of their own in some clusters: ask for it here, too.
      '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
      '--disable-admission-plugins=TaintNodesByCondition',
      `--token-auth-file=${join(pki, 'tokens.csv')}`,
      `--service-account-issuer=https://kubernetes.default.svc`,
      `--service-account-key-file=${join(pki, 'account.pub')}`,
      `--service-account-signing-key-file=${join(pki, 'account.key')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
    ]);
    await this.ready('kube-apiserver', `${this.server}/readyz`);
  }

  /** Nodes that KWOK keeps ready. */
  async addNodes(count: number, resources: Record<string, string> = {}): Promise<void> {
    const amounts = { cpu: '192', memory: '2Ti', pods: '110', 'nvidia.com/gpu': '8', ...resources };
    const items = Array.from({ length: count }, (_, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: `kwok-${String(index).padStart(4, '0')}`,
        labels: { type: 'kwok', 'kubernetes.io/os': 'linux', 'topology.kubernetes.io/zone': `zone-${index % 3}` },
        annotations: { 'kwok.x-k8s.io/node': 'fake' },
      },
      status: { allocatable: amounts, capacity: amounts },
    }));
    const file = join(this.directory, 'nodes.json');
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await this.kubectl('create', '-f', file);
  }

  /** CPU that the bed has used, in seconds. */
  async cpuSeconds(): Promise<number> {
    const pids = [...this.children.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    return (await Promise.all(pids.map(cpuSecondsOf))).reduce((sum, each) => sum + each, 0);
  }

  async stop(): Promise<void> {
    for (const name of ['kwok', 'kube-scheduler', 'kube-controller-manager', 'kube-apiserver', 'etcd']) {
      // Nothing of it is kept: no reason to wait for a tidy end.
      await this.end(name, 'SIGKILL');
    }
    await rm(this.directory, { recursive: true, force: true });
  }

  private async startAll({ kwok = false, controllers = true, scheduler = kwok, prepare }: BedOptions): Promise<void> {
    this.ports = await freePorts();
    await this.writeCredentials();
    await mkdir(join(this.directory, 'log'));
    const etcd = `http://127.0.0.1:${this.ports.etcd}`;
    const peer = `http://127.0.0.1:${this.ports.peer}`;
    this.spawn('etcd', [
      '--name=bed',
      `--data-dir=${join(this.directory, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=bed=${peer}`,
      '--quota-backend-bytes=4294967296',
      '--log-level=warn',
    ]);
    await this.ready('etcd', `${etcd}/health`);
    await this.startApiServer();
    await prepare?.(this);
    await Promise.all([
      controllers ? this.startControllers() : undefined,
      scheduler ? this.startScheduler() : undefined,
      kwok ? this.startKwok() : undefined,
    ]);
    if (controllers) await this.accountsExist();
  }

  private async startControllers(): Promise<void> {
    this.spawn('kube-controller-manager', [
      ...this.componentFlags('system:kube-controller-manager', this.ports.controllers),
      // Nodes are played: nobody renews their leases.
      '--controllers=*,-node-lifecycle-controller',
      `--service-account-private-key-file=${join(this.directory, 'pki', 'account.key')}`,
      `--root-ca-file=${join(this.directory, 'pki', 'apiserver.crt')}`,
      '--use-service-account-credentials=true',
    ]);
    await this.ready('kube-controller-manager', `https://127.0.0.1:${this.ports.controllers}/healthz`);
  }

  private async startScheduler(): Promise<void> {
    this.spawn('kube-scheduler', this.componentFlags('system:kube-scheduler', this.ports.scheduler));
    await this.ready('kube-scheduler', `https://127.0.0.1:${this.ports.scheduler}/healthz`);
  }

  private async startKwok(): Promise<void> {
    this.spawn('kwok', [
      `--kubeconfig=${this.kubeconfig('system:kwok')}`,
      `--config=${programs().kwok}-stages.yaml`,
      '--manage-nodes-with-label-selector=type=kwok',
      '--cidr=10.128.0.0/9',
      '--node-ip=127.0.0.1',
      '--node-lease-duration-seconds=0',
      `--server-address=127.0.0.1:${this.ports.kwok}`,
    ]);
    await this.ready('kwok', `http://127.0.0.1:${this.ports.kwok}/healthz`);
  }

  private componentFlags(user: User, port: number): string[] {
    const kubeconfig = this.kubeconfig(user);
    return [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--authentication-skip-lookup=true',
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(this.directory, 'pki', user.replace(/\W/g, '-'))}`,
      '--leader-elect=false',
      '--kube-api-qps=300',
      '--kube-api-burst=600',
    ];
  }

  private spawn(name: string, args: string[]): void {
    const { kubebed, kwok } = programs();
    const command = name === 'kwok' ? [kwok] : [kubebed, name];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log = createWriteStream(join(this.directory, 'log', `${name}.log`), { flags: 'a' });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    this.children.set(name, child);
  }

  private async ready(name: string, url: string): Promise<void> {
    const deadline = Date.now() + startDeadlineMs;
    while (!(await answers(url))) {
      const child = this.children.get(name);
      if (child?.exitCode !== null || Date.now() > deadline) {
        const log = await readFile(join(this.directory, 'log', `${name}.log`), 'utf8').catch(() => '');
        throw new Error(`${name} did not start:\n${log.slice(-2000)}`);
      }
      await sleep(50);
    }
  }

  private async accountsExist(): Promise<void> {
    const deadline = Date.now() + startDeadlineMs;
    const admin = await this.admin();
    for (;;) {
      const found = await admin.get('/api/v1/namespaces/default/serviceaccounts/default').then(
        () => true,
        () => false,
      );
      if (found) return;
      if (Date.now() > deadline) throw new Error('the controller manager made no service account');
      await sleep(50);
    }
  }

  private async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.children.get(name);
    this.children.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }

  private async writeCredentials(): Promise<void> {
    const pki = join(this.directory, 'pki');
    await mkdir(pki, { mode: 0o700 });
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    await writeFile(join(pki, 'account.key'), privateKey, { mode: 0o600 });
    await writeFile(join(pki, 'account.pub'), publicKey);
    const rows: string[] = [];
    for (const [user, group] of Object.entries(users) as [User, string][]) {
      const token = randomBytes(16).toString('hex');
      this.tokens.set(user, token);
      rows.push(`${token},${user},${user}${group ? `,"${group}"` : ''}`);
      await writeFile(this.kubeconfig(user), this.kubeconfigOf(token), { mode: 0o600 });
    }
    await writeFile(join(pki, 'tokens.csv'), `${rows.join('\n')}\n`, { mode: 0o600 });
  }

  private kubeconfigOf(token: string): string {
    // JSON is YAML.
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'bed',
      contexts: [{ name: 'bed', context: { cluster: 'bed', user: 'bed' } }],
      clusters: [
        {
          name: 'bed',
          cluster: { server: this.server, 'certificate-authority': join(this.directory, 'pki', 'apiserver.crt') },
        },
      ],
      users: [{ name: 'bed', user: { token } }],
    });
  }

  private async writeAccount(directory: string, token: string): Promise<void> {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'token'), token, { mode: 0o600 });
    await writeFile(join(directory, 'ca.crt'), await readFile(join(this.directory, 'pki', 'apiserver.crt')));
  }

  private accountEnvironment(directory: string): NodeJS.ProcessEnv {
    return {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT_HTTPS: String(this.ports.api),
      RAY_OPERATOR_SERVICE_ACCOUNT_DIR: directory,
    };
  }
}

export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** All at once, so that none is given twice. */
async function freePorts() {
  const servers = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const [api = 0, etcd = 0, peer = 0, controllers = 0, scheduler = 0, kwok = 0] = servers.map(server => {
    const address = server.address();
    return typeof address === 'object' ? (address?.port ?? 0) : 0;
  });
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  return { api, etcd, peer, controllers, scheduler, kwok };
}
