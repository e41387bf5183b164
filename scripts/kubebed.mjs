// The Kubernetes of the tests, built from its pinned Go modules: `kubebed` (etcd, API server, controller manager,
// scheduler, kubelet, kube-proxy, kubectl), CoreDNS, KWOK, which plays nodes and kubelets, and Helm. Kept under names that
// change with what they are built from, so that a cache never serves an old one.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './python-env.mjs';
import { run, SetupError, step } from './steps.mjs';

const kubernetesVersion = 'v1.34.4';
const kwokVersion = 'v0.8.0';
const helmVersion = 'v3.22.0';

const linkerFlags = [
  '-s -w',
  ...['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap(place =>
    Object.entries({
      gitVersion: kubernetesVersion,
      gitMajor: kubernetesVersion.slice(1).split('.')[0],
      gitMinor: kubernetesVersion.split('.')[1],
      gitTreeState: 'clean',
      buildDate: '1970-01-01T00:00:00Z',
    }).map(([name, value]) => `-X ${place}.${name}=${value}`),
  ),
].join(' ');

async function checkGo() {
  const version = await run('go', ['env', 'GOVERSION']).catch(() => '');
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(major) > 1 || Number(minor) >= 24) return;
  throw new SetupError(
    'the tests of Kubernetes build its API server, which needs Go 1.24 or later: install it (https://go.dev/dl) and run again',
  );
}

/** Minutes on every core: whatever else runs on this machine goes first. */
const runNicely = (command, args, options) => run('nice', ['-n', '10', command, ...args], options);

/** Built beside its place and moved there whole: what is there is finished. */
async function buildInto(program, title, build) {
  if (await exists(program)) return program;
  await checkGo();
  const directory = await mkdtemp(`${program}.building-`);
  try {
    await step(title, () => build(directory));
    await rename(join(directory, 'program'), program);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return program;
}

/** A Go module of ours. */
async function ensureOwn({ tools, source, name, title, flags }) {
  const contents = await Promise.all(['main.go', 'go.mod', 'go.sum'].map(file => readFile(join(source, file))));
  const hash = createHash('sha256').update(flags);
  for (const content of contents) hash.update(content);
  return buildInto(join(tools, `${name}-${hash.digest('hex').slice(0, 8)}`), title, directory =>
    runNicely('go', ['build', '-mod=readonly', '-trimpath', '-ldflags', flags, '-o', join(directory, 'program'), '.'], {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
    }),
  );
}

/** KWOK's program, and beside it the stages that its module brings: how fast a pretended node and pod become ready. */
async function ensureKwok(tools) {
  const module = `sigs.k8s.io/kwok@${kwokVersion}`;
  const program = join(tools, `kwok-${kwokVersion}`);
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' };
  return buildInto(program, `KWOK ${kwokVersion} (Go module)`, async directory => {
    await runNicely('go', ['install', '-trimpath', `sigs.k8s.io/kwok/cmd/kwok@${kwokVersion}`], {
      env: { ...env, GOBIN: directory },
    });
    const { Dir } = JSON.parse(await run('go', ['mod', 'download', '-json', module], { env }));
    await writeFile(`${program}-stages.yaml`, await stagesOf(join(Dir, 'kustomize', 'stage')));
    await rename(join(directory, 'kwok'), join(directory, 'program'));
  });
}

/** What renders and checks the charts. */
async function ensureHelm(tools) {
  const program = join(tools, `helm-${helmVersion}`);
  return buildInto(program, `Helm ${helmVersion} (Go module)`, async directory => {
    await runNicely('go', ['install', '-trimpath', `helm.sh/helm/v3/cmd/helm@${helmVersion}`], {
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off', GOBIN: directory },
    });
    await rename(join(directory, 'helm'), join(directory, 'program'));
  });
}

async function stagesOf(directory) {
  const stages = [];
  for (const kind of ['node', 'pod']) {
    const folder = join(directory, kind, 'fast');
    for (const name of (await readdir(folder)).sort()) {
      if (name.endsWith('.yaml') && name !== 'kustomization.yaml')
        stages.push(await readFile(join(folder, name), 'utf8'));
    }
  }
  return stages.join('\n---\n');
}

/** Builds what is missing; returns the paths of the programs. */
export async function ensureKubernetes(tools, root) {
  await mkdir(tools, { recursive: true });
  const source = name => join(root, 'e2e', 'kubernetes', name);
  return {
    kubebed: await ensureOwn({
      tools,
      source: source('kubebed'),
      name: `kubebed-${kubernetesVersion}`,
      title: `Kubernetes ${kubernetesVersion} (Go modules; takes minutes, once)`,
      flags: linkerFlags,
    }),
    coredns: await ensureOwn({
      tools,
      source: source('coredns'),
      name: 'coredns',
      title: 'CoreDNS (Go modules)',
      flags: '-s -w',
    }),
    kwok: await ensureKwok(tools),
    helm: await ensureHelm(tools),
  };
}
