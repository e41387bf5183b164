/** A node of a real bed: a machine with containerd and the kubelet, and kube-proxy for the addresses of Services. */
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Components } from './component.js';
import { makeControlGroup } from './control-groups.js';
import { kubebed } from './control-plane.js';
import { Machine } from './machine.js';

export const pauseImage = 'localhost/iocloud-pause:test';
const snapshots = 'io.containerd.snapshotter.v1.overlayfs';
const content = 'io.containerd.content.v1.content';

/** What the kubelet wants of the kernel (its container manager's tunables). It gets files that say so: the host's stay. */
const tunables = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

export interface NodePlace {
  name: string;
  address: string;
  podNetwork: string;
  /** Everything that it keeps. */
  directory: string;
  /** containerd's store as the set-up made it. */
  store: string;
  kubeconfig: string;
  proxyKubeconfig: string;
  dnsAddress: string;
  labels: Record<string, string>;
}

/** The machine alone, so that it can be linked to the others before anything on it speaks. */
export async function bootNode({ directory, store }: NodePlace): Promise<Machine> {
  const own = (path: string) => join(directory, path);
  for (const each of ['log', 'kubelet', 'containerd', 'kernel', 'network']) await mkdir(own(each), { recursive: true });
  const binds: [from: string, to: string][] = [
    [own('log'), '/var/log'],
    [own('kubelet'), '/var/lib/kubelet'],
    [own('containerd'), '/var/lib/containerd'],
  ];
  for (const [name, value] of Object.entries(tunables)) {
    const file = own(`kernel/${name.replaceAll('/', '.')}`);
    await writeFile(file, `${value}\n`);
    binds.push([file, `/proc/sys/${name}`]);
  }
  binds.push(...(await shareStore(store, own('containerd'))));
  const lines = binds.flatMap(([from, to]) => [
    ...(to.startsWith('/proc/') ? [] : [`mkdir -p ${to}`]),
    `mount --bind ${from} ${to}`,
  ]);
  return Machine.boot(['mount -t tmpfs tmpfs /run', ...lines, 'echo 1 >/proc/sys/net/ipv4/ip_forward'].join('\n'));
}

/** Databases are the node's own; images, which nobody changes, are those of the set-up. */
async function shareStore(store: string, own: string): Promise<[string, string][]> {
  await mkdir(join(own, snapshots, 'snapshots'), { recursive: true });
  await cp(join(store, 'io.containerd.metadata.v1.bolt'), join(own, 'io.containerd.metadata.v1.bolt'), {
    recursive: true,
  });
  await cp(join(store, snapshots, 'metadata.db'), join(own, snapshots, 'metadata.db'));
  await mkdir(join(own, content));
  const unpacked = await readdir(join(store, snapshots, 'snapshots'));
  for (const name of unpacked) await mkdir(join(own, snapshots, 'snapshots', name));
  const shared = [content, ...unpacked.map(name => join(snapshots, 'snapshots', name))];
  return shared.map(path => [join(store, path), join('/var/lib/containerd', path)]);
}

export async function startNode(machine: Machine, place: NodePlace, components: Components): Promise<void> {
  const { name, directory } = place;
  const file = (title: string) => join(directory, title);
  const group = await makeControlGroup(`${machine.pid}-${name}`);
  await writeFile(file('network/10-pods.conflist'), JSON.stringify(podNetwork(place)));
  await writeFile(file('containerd.toml'), containerdSettings(file('network')));
  await writeFile(file('kubelet.json'), JSON.stringify(kubeletSettings(place, group)));
  const start = (title: string, ...command: string[]) => components.start(`${title}-${name}`, command, machine.inside);
  start('containerd', 'containerd', '--config', file('containerd.toml'));
  await components.until(`containerd-${name}`, () =>
    machine.run('ctr', 'version').then(
      () => true,
      () => false,
    ),
  );
  start(
    'kubelet',
    kubebed(),
    'kubelet',
    `--config=${file('kubelet.json')}`,
    `--kubeconfig=${place.kubeconfig}`,
    `--hostname-override=${name}`,
    `--node-ip=${place.address}`,
    `--node-labels=${Object.entries(place.labels)
      .map(label => label.join('='))
      .join(',')}`,
  );
  start(
    'kube-proxy',
    kubebed(),
    'kube-proxy',
    `--kubeconfig=${place.proxyKubeconfig}`,
    `--hostname-override=${name}`,
    '--proxy-mode=nftables',
    // The table of connections is the host's: its limits are left alone.
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-established=0s',
    '--conntrack-tcp-timeout-close-wait=0s',
  );
}

/** Point to point, not bridged: a pod that speaks to a Service whose pod is its neighbour goes through the node, too. */
const podNetwork = ({ podNetwork: subnet, directory }: NodePlace) => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipam: {
        type: 'host-local',
        dataDir: join(directory, 'addresses'),
        ranges: [[{ subnet }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
});

const containerdSettings = (networkDirectory: string) => `
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${pauseImage}"
# Without the right to lower it, as in containers, a pod's would not start.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${networkDirectory}"
`;

const kubeletSettings = ({ address, dnsAddress }: NodePlace, cgroupRoot: string) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address,
  // Only the bed can reach it.
  authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
  authorization: { mode: 'AlwaysAllow' },
  cgroupDriver: 'cgroupfs',
  cgroupRoot,
  failCgroupV1: false,
  failSwapOn: false,
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  healthzBindAddress: '127.0.0.1',
  resolvConf: '',
  clusterDomain: 'cluster.local',
  clusterDNS: [dnsAddress],
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
  nodeStatusUpdateFrequency: '5s',
  enforceNodeAllocatable: ['pods'],
});
