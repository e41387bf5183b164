/**
 * A Kubernetes whose nodes and kubelets KWOK plays: fast, and as large as wanted. On free ports and in a directory of its
 * own, so that several run side by side; when the test process dies, however, the kernel ends all of it.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from './component.js';
import { ControlPlane, type ControlPlaneOptions, type Site } from './control-plane.js';

export interface BedOptions
  extends Pick<ControlPlaneOptions, 'controllers' | 'scheduler' | 'prepare' | 'apiServerFlags'> {
  /** Play nodes with KWOK; without it a pod stays as it was made, and the test says what becomes of it. */
  kwok?: boolean;
}

function kwokProgram(): string {
  const { IOCLOUD_KWOK: program } = process.env;
  if (!program) throw new Error('no KWOK: `node scripts/setup.mjs --tests` builds it and prints IOCLOUD_KWOK');
  return program;
}

export class Bed extends ControlPlane {
  private constructor(
    directory: string,
    site: Site,
    private readonly kwokPort: number,
  ) {
    super(directory, site);
  }

  static async start(options: BedOptions = {}): Promise<Bed> {
    const [api = 0, etcd = 0, peer = 0, controllers = 0, scheduler = 0, kwok = 0] = await freePorts(6);
    const host = '127.0.0.1';
    const ports = { api, etcd, peer, controllers, scheduler };
    const site = { prefix: [], listen: host, address: host, ports, reach: async (port: number) => ({ host, port }) };
    const bed = new Bed(await ControlPlane.newDirectory(), site, kwok);
    try {
      await bed.startAll(options);
      return bed;
    } catch (error) {
      await bed.stop();
      throw error;
    }
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

  private async startAll({ kwok = false, scheduler = kwok, ...options }: BedOptions): Promise<void> {
    await this.startControlPlane({
      ...options,
      scheduler,
      users: { 'system:kwok': 'system:masters' },
      apiServerFlags: [
        '--endpoint-reconciler-type=none',
        '--disable-admission-plugins=TaintNodesByCondition',
        ...(options.apiServerFlags ?? []),
      ],
      // Nodes are played: nobody renews their leases.
      controllerFlags: ['--controllers=*,-node-lifecycle-controller'],
    });
    if (kwok) await this.startKwok();
  }

  /** As if every kubelet died at once. */
  async killKubelets(): Promise<void> {
    await this.components.kill('kwok');
  }

  async startKubelets(): Promise<void> {
    await this.startKwok();
  }

  private async startKwok(): Promise<void> {
    const program = kwokProgram();
    const flags = [
      `--kubeconfig=${this.credentials.kubeconfig('system:kwok')}`,
      `--config=${program}-stages.yaml`,
      '--manage-nodes-with-label-selector=type=kwok',
      '--cidr=10.128.0.0/9',
      '--node-ip=127.0.0.1',
      '--node-lease-duration-seconds=0',
      `--server-address=127.0.0.1:${this.kwokPort}`,
    ];
    this.components.start('kwok', [program, ...flags]);
    await this.answering('kwok', 'http', this.kwokPort, '/healthz');
  }
}
