/**
 * A Kubernetes with real nodes: kubelets, containerd and pods, each node a machine of its own as far as the kernel can play
 * that; kube-proxy and CoreDNS make Services work. All of it lies in namespaces that the kernel ends with the test process,
 * on addresses that no other network sees, so that several run side by side.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { networkObstacle } from '../src/harness/network.js';
import { until } from '../src/harness/processes.js';
import { controlGroupObstacle, removeControlGroups } from './control-groups.js';
import { ControlPlane, type ControlPlaneOptions, type Site } from './control-plane.js';
import { Gate } from './gate.js';
import { Machine } from './machine.js';
import { bootNode, type NodePlace, startNode } from './node.js';

/** A pod that names it runs the Ray of the tests. */
export const rayImage = 'localhost/iocloud-ray:test';

/** Where pods find the control plane, and what else runs beside the nodes. */
export const bedAddress = '10.98.0.1';
const nodeAddress = (index: number) => `10.98.0.${index + 11}`;
const podNetwork = (index: number) => `10.245.${index}.0/24`;
const ports = { api: 6443, etcd: 2379, peer: 2380, controllers: 10257, scheduler: 10259 };
const nodeReadyMs = 120_000;

export interface RealBedOptions extends Pick<ControlPlaneOptions, 'prepare'> {
  nodes?: number;
  /** Of each node, by its index. */
  labels?: (index: number) => Record<string, string>;
}

/** Why there can be none here, or null. */
export function realBedObstacle(): string | null {
  const network = networkObstacle();
  if (network) return network;
  if (!process.env.IOCLOUD_KUBERNETES_NODE) return 'the set-up has made no store for a node (IOCLOUD_KUBERNETES_NODE)';
  return controlGroupObstacle();
}

export class RealBed extends ControlPlane {
  private readonly machines = new Map<string, Machine>();

  private constructor(
    directory: string,
    site: Site,
    private readonly hub: Machine,
    private readonly gate: Gate,
  ) {
    super(directory, site);
  }

  static async start({ nodes = 1, labels = () => ({}), prepare }: RealBedOptions = {}): Promise<RealBed> {
    await removeControlGroups();
    const hub = await Machine.boot('echo 1 >/proc/sys/net/ipv4/ip_forward');
    const gate = await Gate.open(hub.network);
    const reach = async (port: number) => ({ host: 'localhost', port: await gate.forward('127.0.0.1', port) });
    const site = { prefix: hub.network, listen: '0.0.0.0', address: bedAddress, ports, reach };
    const bed = new RealBed(await ControlPlane.newDirectory(), site, hub, gate);
    try {
      await bed.startAll(
        Array.from({ length: nodes }, (_, index) => bed.place(index, labels(index))),
        prepare,
      );
      return bed;
    } catch (error) {
      await bed.stop();
      throw error;
    }
  }

  /** A port of 127.0.0.1 that leads to a pod's, a node's or a Service's. */
  forward(host: string, port: number): Promise<number> {
    return this.gate.forward(host, port);
  }

  /** Runs a program on the network of the nodes, but on none of them. */
  async startBeside(name: string, command: string[], isUp: () => Promise<boolean>): Promise<void> {
    this.components.start(name, command, this.hub.network);
    await this.components.until(name, isUp);
  }

  /** As when a node's power fails: its pods are gone, and the API server is told of nothing. */
  async crash(node: string): Promise<void> {
    await this.machines.get(node)?.crash();
  }

  override async stop(): Promise<void> {
    for (const machine of this.machines.values()) await machine.crash();
    await this.gate.close();
    await this.hub.crash();
    await super.stop();
    await removeControlGroups();
  }

  private place(index: number, labels: Record<string, string>): NodePlace {
    const name = `node-${index}`;
    return {
      name,
      address: nodeAddress(index),
      podNetwork: podNetwork(index),
      directory: join(this.directory, name),
      store: process.env.IOCLOUD_KUBERNETES_NODE ?? '',
      kubeconfig: this.credentials.kubeconfig(`system:node:${name}`),
      proxyKubeconfig: this.credentials.kubeconfig('system:kube-proxy'),
      dnsAddress: bedAddress,
      labels,
    };
  }

  private async startAll(places: NodePlace[], prepare: ControlPlaneOptions['prepare']): Promise<void> {
    const nodeUsers = places.map(({ name }) => [`system:node:${name}`, 'system:nodes']);
    await this.linkHub();
    await Promise.all([
      this.startControlPlane({
        users: { 'system:kube-proxy': '', coredns: 'system:masters', ...Object.fromEntries(nodeUsers) },
        apiServerFlags: ['--allow-privileged=true', '--kubelet-preferred-address-types=InternalIP'],
        // A node that is silent is given up sooner than the usual forty seconds.
        controllerFlags: ['--node-monitor-grace-period=20s'],
        prepare,
      }),
      ...places.map(async place => {
        await mkdir(place.directory);
        this.machines.set(place.name, await bootNode(place));
      }),
    ]);
    for (const place of places) await this.linkNode(place, places);
    await this.startNames();
    await Promise.all(places.map(place => startNode(this.machine(place.name), place, this.components)));
    await until('all nodes are ready', nodeReadyMs, async () => {
      const conditions = await this.kubectl(
        'get',
        'nodes',
        '-o',
        'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
      );
      return conditions.split(' ').filter(status => status === 'True').length === places.length;
    });
  }

  private machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (!machine) throw new Error(`the bed has no node ${name}`);
    return machine;
  }

  private async linkHub(): Promise<void> {
    await this.hub.run('ip', 'link', 'add', 'nodes', 'type', 'bridge');
    await this.hub.run('ip', 'address', 'add', `${bedAddress}/24`, 'dev', 'nodes');
    await this.hub.run('ip', 'link', 'set', 'nodes', 'up');
  }

  /** A cable to the hub, and the way to the others' pods. */
  private async linkNode({ name, address: own, podNetwork: pods }: NodePlace, places: NodePlace[]): Promise<void> {
    const machine = this.machine(name);
    const end = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(machine.pid)];
    const [program = '', ...enter] = this.hub.network;
    await promisify(execFile)(program, [...enter, 'ip', 'link', 'add', name, ...end]);
    await this.hub.run('ip', 'link', 'set', name, 'master', 'nodes', 'up');
    await this.hub.run('ip', 'route', 'add', pods, 'via', own);
    await machine.run('ip', 'address', 'add', `${own}/24`, 'dev', 'eth0');
    await machine.run('ip', 'link', 'set', 'eth0', 'up');
    await machine.run('ip', 'route', 'add', 'default', 'via', bedAddress);
    for (const other of places) {
      if (other.name !== name) await machine.run('ip', 'route', 'add', other.podNetwork, 'via', other.address);
    }
  }

  private async startNames(): Promise<void> {
    const program = process.env.IOCLOUD_COREDNS;
    if (!program) throw new Error('no CoreDNS: `node scripts/setup.mjs --tests` builds it and prints IOCLOUD_COREDNS');
    const file = join(this.directory, 'Corefile');
    const zone = `kubernetes cluster.local {\n kubeconfig ${this.credentials.kubeconfig('coredns')}\n ttl 1\n }`;
    await writeFile(file, `cluster.local {\n bind ${bedAddress}\n errors\n ${zone}\n}\n`);
    this.components.start('coredns', [program, '-conf', file], this.hub.network);
  }
}
