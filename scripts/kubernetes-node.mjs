// What a real Kubernetes node of the tests has on its disk: containerd's store with an image of Ray in it, made from the
// base image and the tests' own environment of Ray. Unpacked once; every node takes it as it is.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exists } from './python-env.mjs';
import { run, SetupError, step } from './steps.mjs';
import { ensureBaseArchive, install } from './test-image.mjs';

const programs = ['containerd', 'ctr', 'runc', 'nft', 'ip'];
const debian = ['containerd', 'runc', 'nftables', 'iproute2', 'containernetworking-plugins'];
const networkPlugins = '/usr/lib/cni';

/** The names by which pods and kubelets know the images; the tests have them, too. */
const rayImage = 'localhost/iocloud-ray:test';
const pauseImage = 'localhost/iocloud-pause:test';
/** Changes with what is made here. */
const recipe = '2';

/** Returns the store's directory; null, and says so, on machines that can have no such node. */
export async function ensureKubernetesNode(cache, environment, onPath) {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    process.stderr.write('not root on Linux: Ray in real pods is NOT tested in this run\n');
    return null;
  }
  const missing = [];
  for (const program of programs) if (!(await onPath(program))) missing.push(program);
  if (!(await exists(join(networkPlugins, 'ptp')))) missing.push(join(networkPlugins, 'ptp'));
  if (missing.length > 0) {
    if (!(await onPath('apt-get'))) {
      throw new SetupError(`the tests need ${missing.join(', ')}: install them and run again`);
    }
    await step('containerd (Debian packages)', () => install(debian));
  }
  const base = await ensureBaseArchive(cache, onPath);
  const stamp = await readFile(join(environment, '.iocloud-stamp'), 'utf8');
  const digest = createHash('sha256').update(`${recipe} ${base} ${environment} ${stamp}`).digest('hex').slice(0, 12);
  const store = join(cache, `kubernetes-node-${digest}`);
  if (await exists(store)) return store;
  await step('a Kubernetes node’s store with Ray in it', async () => {
    const directory = await mkdtemp(join(cache, 'kubernetes-node.making-'));
    try {
      await writeImages(directory, base, environment);
      await unpack(directory);
      await rename(join(directory, 'store'), store);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
  return store;
}

/** An archive in the OCI's layout (image-spec: image-layout.md) of both images, which share their first layer. */
async function writeImages(directory, base, environment) {
  const layout = join(directory, 'layout');
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true });
  const ray = await archiveOf(directory, environment);
  const [baseLayer, rayLayer] = [await blobOfFile(layout, base), await blobOfFile(layout, ray)];
  const path = `${environment}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  const manifests = [
    await imageOf(layout, pauseImage, [baseLayer], { Entrypoint: ['/bin/sleep', 'infinity'] }),
    await imageOf(layout, rayImage, [baseLayer, rayLayer], { Env: [`PATH=${path}`, 'HOME=/root', 'USER=root'] }),
  ];
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  await run('tar', ['-C', layout, '-cf', join(directory, 'images.tar'), '.']);
  await rm(layout, { recursive: true });
  await rm(ray);
}

/** The environment at its own path, and the Python that it stands on, unless that is the base image's. */
async function archiveOf(directory, environment) {
  const program = 'import sys; print(sys.base_prefix)';
  const python = (await run(join(environment, 'bin', 'python'), ['-E', '-s', '-S', '-c', program])).trim();
  const etc = join(directory, 'etc');
  await mkdir(etc);
  await writeFile(join(etc, 'passwd'), 'root:x:0:0:root:/root:/bin/bash\n');
  await writeFile(join(etc, 'group'), 'root:x:0:\n');
  const archive = join(directory, 'ray.tar');
  const owner = ['--numeric-owner', '--owner=0', '--group=0'];
  const places = [environment, ...(python === '/usr' ? [] : [python])].map(place => place.slice(1));
  // The environment does not look at the packages of the Python below it.
  const left = [
    `--exclude=${python.slice(1)}/lib/python*/site-packages`,
    `--exclude=${python.slice(1)}/lib/python*/test`,
  ];
  await run('tar', [...owner, ...left, '-cf', archive, '-C', directory, 'etc', '-C', '/', ...places]);
  await rm(etc, { recursive: true });
  return archive;
}

async function blobOfFile(layout, file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  const digest = hash.digest('hex');
  await run('cp', ['--reflink=auto', file, join(layout, 'blobs', 'sha256', digest)]);
  const { size } = await stat(file);
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${digest}`, size };
}

async function blobOf(layout, mediaType, value) {
  const text = JSON.stringify(value);
  const digest = createHash('sha256').update(text).digest('hex');
  await writeFile(join(layout, 'blobs', 'sha256', digest), text);
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

async function imageOf(layout, name, layers, config) {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const described = await blobOf(layout, 'application/vnd.oci.image.config.v1+json', {
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = await blobOf(layout, mediaType, { schemaVersion: 2, mediaType, config: described, layers });
  const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.split(':')[1] };
  return { ...manifest, annotations };
}

/** By a containerd of its own, which leaves nothing but its store. */
async function unpack(directory) {
  const config = join(directory, 'containerd.toml');
  const socket = join(directory, 'containerd.sock');
  const place = { root: join(directory, 'store'), state: join(directory, 'state') };
  const settings = [
    'version = 2',
    ...Object.entries(place).map(([name, path]) => `${name} = ${JSON.stringify(path)}`),
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\naddress = ${JSON.stringify(socket)}`,
  ];
  await writeFile(config, settings.join('\n'));
  const stop = new AbortController();
  const ended = run('containerd', ['--config', config], { signal: stop.signal }).catch(error => error);
  try {
    const ctr = (...args) => run('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args]);
    const deadline = Date.now() + 60_000;
    while (
      await ctr('version').then(
        () => false,
        () => true,
      )
    ) {
      if (Date.now() > deadline) throw new SetupError('containerd did not start');
      await sleep(100);
    }
    await ctr('images', 'import', join(directory, 'images.tar'));
  } finally {
    stop.abort();
    await ended;
  }
}
