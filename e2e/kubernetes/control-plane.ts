/**
 * The control plane of a Kubernetes of one's own for a test: etcd, API server with RBAC, controller manager and scheduler,
 * in a directory of its own. What plays or is its nodes comes with the beds that are made of it.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect, KubernetesClient } from '@iocloud/ray-operator';
import { Components, startDeadlineMs } from './component.js';
import { Credentials, plain, type Users } from './credentials.js';

/** Where the control plane runs. */
export interface Site {
  /** Enters it. */
  prefix: string[];
  /** What the API server listens on, and what the bed's own programs find it by. */
  listen: string;
  address: string;
  ports: { api: number; etcd: number; peer: number; controllers: number; scheduler: number };
  /** The host and port by which this process reaches a port there. */
  reach(port: number): Promise<{ host: string; port: number }>;
}

export interface ControlPlaneOptions {
  controllers?: boolean;
  scheduler?: boolean;
  /** Beside those of the control plane itself. */
  users?: Users;
  apiServerFlags?: string[];
  controllerFlags?: string[];
  /** Runs as soon as the API server answers: the garbage collector takes half a minute to see a kind that comes later. */
  prepare?: ((controlPlane: ControlPlane) => Promise<void>) | undefined;
}

export function kubebed(): string {
  const { IOCLOUD_KUBEBED: program } = process.env;
  if (!program) throw new Error('no Kubernetes: `node scripts/setup.mjs --tests` builds it and prints IOCLOUD_KUBEBED');
  return program;
}

export class ControlPlane {
  protected readonly components: Components;
  protected readonly credentials: Credentials;
  private reached = { host: '', port: 0 };
  private apiServerFlags: string[] = [];

  protected constructor(
    readonly directory: string,
    protected readonly site: Site,
  ) {
    this.components = new Components(join(directory, 'log'));
    this.credentials = new Credentials(directory);
  }

  protected static async newDirectory(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'iocloud-bed-'));
    await mkdir(join(directory, 'log'));
    return directory;
  }

  get server(): string {
    return `https://${this.reached.host}:${this.reached.port}`;
  }

  get apiPort(): number {
    return this.reached.port;
  }

  /** Of the user who may do everything. */
  kubeconfig(): string {
    return this.credentials.kubeconfig('admin');
  }

  /** A client with all rights. */
  async admin(): Promise<KubernetesClient> {
    const directory = await this.credentials.writeAccount('admin', this.credentials.token('admin'));
    return new KubernetesClient(await connect(this.accountEnvironment(directory)));
  }

  /** As in a pod of this service account: its token and the CA in a directory, and the variables that name the server. */
  async serviceAccount(namespace: string, name: string): Promise<NodeJS.ProcessEnv> {
    const admin = await this.admin();
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
    const { status } = await admin.post<{ status: { token: string } }>(path, request);
    const directory = await this.credentials.writeAccount(`${namespace}-${name}`, status.token);
    return this.accountEnvironment(directory);
  }

  async kubectl(...args: string[]): Promise<string> {
    const all = ['kubectl', '--kubeconfig', this.kubeconfig(), ...args];
    const { stdout } = await promisify(execFile)(kubebed(), all, { maxBuffer: 64 << 20 });
    return stdout;
  }

  async apply(file: string): Promise<void> {
    await this.kubectl('apply', '--server-side', '-f', file);
  }

  /** As at a crash: what is in etcd stays. */
  async killApiServer(): Promise<void> {
    await this.components.kill('kube-apiserver');
  }

  /** Forgets what was before the latest revision, as etcd is told to every few minutes. */
  async compact(): Promise<void> {
    const { host, port } = await this.site.reach(this.site.ports.etcd);
    const call = async <T>(path: string, body: unknown): Promise<T> => {
      const response = await fetch(`http://${host}:${port}/v3/kv/${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`etcd: ${path} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as T;
    };
    const { header } = await call<{ header: { revision: string } }>('range', { key: 'Lw==', keys_only: true });
    await call('compaction', { revision: header.revision, physical: true });
  }

  /** `flags` come after the usual ones, and hold until the next start. */
  async startApiServer(flags: string[] = []): Promise<void> {
    const { address, listen, ports } = this.site;
    const { pki, tokenFile } = this.credentials;
    this.start('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
      `--bind-address=${listen}`,
      `--advertise-address=${address}`,
      `--secure-port=${ports.api}`,
      `--cert-dir=${pki}`,
      '--authorization-mode=Node,RBAC',
      // Owner references that block deletion need a right of their own in some clusters: ask for it here, too.
      '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
      `--token-auth-file=${tokenFile}`,
      `--service-account-issuer=https://kubernetes.default.svc`,
      `--service-account-key-file=${join(pki, 'account.pub')}`,
      `--service-account-signing-key-file=${join(pki, 'account.key')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      ...this.apiServerFlags,
      ...flags,
    ]);
    await this.components.answering('kube-apiserver', `${this.server}/readyz`);
  }

  cpuSeconds(): Promise<number> {
    return this.components.cpuSeconds();
  }

  async stop(): Promise<void> {
    await this.components.killAll();
    await rm(this.directory, { recursive: true, force: true });
  }

  protected async startControlPlane(options: ControlPlaneOptions): Promise<void> {
    const { controllers = true, scheduler = true, users = {}, prepare } = options;
    this.apiServerFlags = options.apiServerFlags ?? [];
    this.reached = await this.site.reach(this.site.ports.api);
    const inside = `https://${this.site.address}:${this.site.ports.api}`;
    const own = { admin: 'system:masters', 'system:kube-controller-manager': '', 'system:kube-scheduler': '' };
    await this.credentials.write({ ...own, ...users }, user => (user === 'admin' ? this.server : inside));
    await this.startEtcd();
    await this.startApiServer();
    await prepare?.(this);
    await Promise.all([
      controllers ? this.startControllers(options.controllerFlags ?? []) : undefined,
      scheduler ? this.startScheduler() : undefined,
    ]);
    if (controllers) await this.accountsExist();
  }

  protected start(name: string, args: string[]): void {
    this.components.start(name, [kubebed(), name, ...args], this.site.prefix);
  }

  protected async answering(name: string, scheme: string, port: number, path: string): Promise<void> {
    const reached = await this.site.reach(port);
    await this.components.answering(name, `${scheme}://${reached.host}:${reached.port}${path}`);
  }

  private async startEtcd(): Promise<void> {
    const client = `http://127.0.0.1:${this.site.ports.etcd}`;
    const peer = `http://127.0.0.1:${this.site.ports.peer}`;
    this.start('etcd', [
      '--name=bed',
      `--data-dir=${join(this.directory, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=bed=${peer}`,
      '--quota-backend-bytes=4294967296',
      '--log-level=warn',
    ]);
    await this.answering('etcd', 'http', this.site.ports.etcd, '/health');
  }

  private async startControllers(flags: string[]): Promise<void> {
    const { pki, certificate } = this.credentials;
    this.start('kube-controller-manager', [
      ...this.componentFlags('system:kube-controller-manager', this.site.ports.controllers),
      `--service-account-private-key-file=${join(pki, 'account.key')}`,
      `--root-ca-file=${certificate}`,
      '--use-service-account-credentials=true',
      ...flags,
    ]);
    await this.answering('kube-controller-manager', 'https', this.site.ports.controllers, '/healthz');
  }

  private async startScheduler(): Promise<void> {
    this.start('kube-scheduler', this.componentFlags('system:kube-scheduler', this.site.ports.scheduler));
    await this.answering('kube-scheduler', 'https', this.site.ports.scheduler, '/healthz');
  }

  private componentFlags(user: string, port: number): string[] {
    const kubeconfig = this.credentials.kubeconfig(user);
    return [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--authentication-skip-lookup=true',
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(this.credentials.pki, plain(user))}`,
      '--leader-elect=false',
      '--kube-api-qps=300',
      '--kube-api-burst=600',
    ];
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

  private accountEnvironment(directory: string): NodeJS.ProcessEnv {
    return {
      KUBERNETES_SERVICE_HOST: this.reached.host,
      KUBERNETES_SERVICE_PORT_HTTPS: String(this.reached.port),
      RAY_OPERATOR_SERVICE_ACCOUNT_DIR: directory,
    };
  }
}
