// All that a bare machine lacks: `node scripts/setup.mjs [--tests]`. Runs in a blink when nothing has changed.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packAgent } from './agent-release.mjs';
import { ensureKubernetes } from './kubebed.mjs';
import { ensureKubernetesNode } from './kubernetes-node.mjs';
import { ensurePrometheus } from './prometheus.mjs';
import { ensureEnvironment, exists } from './python-env.mjs';
import { main, run, SetupError, step } from './steps.mjs';
import { ensureTestImage } from './test-image.mjs';
import { ensureWireguardGo } from './wireguard-go.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const home = resolve(root, process.env.IOCLOUD_HOME ?? '.iocloud');
const cache = join(process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? home, '.cache'), 'iocloud');
const forTests = process.argv.includes('--tests');
const buildOnly = process.argv.includes('--build-only');

export const venvs = forTests
  ? { ray: process.env.IOCLOUD_VENV ?? join(cache, 'ray'), redis: join(cache, 'redis'), oldRay: join(cache, 'old-ray') }
  : { ray: process.env.IOCLOUD_VENV ?? join(home, 'venv'), redis: join(home, 'redis-venv') };

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 10)) {
    throw new SetupError(`Node 20.10 or newer is needed, this is ${process.versions.node}: install one and run again`);
  }
}

async function installPackages() {
  const lock = await readFile(join(root, 'package-lock.json'));
  const stampFile = join(root, 'node_modules', '.iocloud-stamp');
  const stamp = createHash('sha256').update(lock).update(process.version).digest('hex');
  if ((await readFile(stampFile, 'utf8').catch(() => '')) === stamp) return;
  await step('npm packages', async () => {
    await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root });
    await writeFile(stampFile, stamp);
  });
}

const build = () =>
  step('build', async () => {
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-b'], { cwd: root });
    return (await packAgent(root)) ? 'agent packed anew' : '';
  });

async function onPath(...names) {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) if (await exists(join(dir, name))) return join(dir, name);
  }
  return null;
}

async function ensureRedis() {
  if (process.env.REDIS_URL || (await onPath('redis-server', 'valkey-server'))) return;
  await ensureEnvironment(
    'Redis (no redis-server on the PATH)',
    venvs.redis,
    join(root, 'python', 'redis.lock'),
    join(cacheOrHome(), 'tools'),
  );
}

const cacheOrHome = () => (forTests ? cache : home);

/** The tests look at the dashboard in a real browser. */
async function ensureChromium() {
  if (await onPath('chromium', 'chromium-browser', 'google-chrome')) return;
  if (process.getuid?.() !== 0 || !(await onPath('apt-get'))) {
    throw new SetupError('the tests need Chromium: install it (chromium or google-chrome on the PATH) and run again');
  }
  await step('Chromium (Debian package)', async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env });
  });
}

/** The tests log in as renters do. */
async function ensureOpenSsh() {
  const programs = ['ssh', 'scp', 'sftp', 'ssh-keygen'];
  const missing = [];
  for (const program of programs) if (!(await onPath(program))) missing.push(program);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !(await onPath('apt-get'))) {
    throw new SetupError(`the tests need the OpenSSH client (${missing.join(', ')}): install it and run again`);
  }
  await step('OpenSSH client (Debian package)', async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'openssh-client'], { env });
  });
}

main(async () => {
  checkNode();
  await installPackages();
  await build();
  if (buildOnly) return;
  const tools = join(cacheOrHome(), 'tools');
  await ensureEnvironment('Ray 2.60.0 (Python environment)', venvs.ray, join(root, 'python', 'ray.lock'), tools);
  await ensureRedis();
  if (forTests) {
    await ensureEnvironment(
      'Ray 2.51.2 (an older client, for the tests)',
      venvs.oldRay,
      join(root, 'python', 'old-ray.lock'),
      tools,
    );
    await ensureChromium();
    const wireguardGo = (await onPath('wireguard-go')) ?? (await ensureWireguardGo(tools));
    const prometheus = await ensurePrometheus(tools, onPath);
    const kubernetes = await ensureKubernetes(tools, root);
    await ensureOpenSsh();
    const testImage = await ensureTestImage(cache, onPath);
    const kubernetesNode = await ensureKubernetesNode(cache, venvs.ray, onPath);
    // What the test run is to be given, for the Makefile to read.
    process.stdout.write(
      [
        `IOCLOUD_VENV=${venvs.ray}`,
        `IOCLOUD_REDIS_VENV=${venvs.redis}`,
        `IOCLOUD_TEST_OLD_RAY_VENV=${venvs.oldRay}`,
        `IOCLOUD_WIREGUARD_GO=${wireguardGo}`,
        ...(prometheus ? [`IOCLOUD_TEST_PROMETHEUS=${prometheus}`] : []),
        `IOCLOUD_KUBEBED=${kubernetes.kubebed}`,
        `IOCLOUD_KWOK=${kubernetes.kwok}`,
        `IOCLOUD_COREDNS=${kubernetes.coredns}`,
        ...(kubernetesNode ? [`IOCLOUD_KUBERNETES_NODE=${kubernetesNode}`] : []),
        `IOCLOUD_TEST_HELM=${kubernetes.helm}`,
        ...(testImage ? [`IOCLOUD_TEST_IMAGE=${testImage}`] : []),
        '',
      ].join('\n'),
    );
  }
});
