// Packs the agent into one archive that a machine can install: the bundled programs, the Python parts, the lock of Ray.
// `worker-bootstrap/release/` then holds it with a manifest, which is left as it is where nothing has changed.
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const programs = {
  main: 'worker-bootstrap/dist/main.js',
  join: 'worker-bootstrap/dist/join/main.js',
  start: 'worker-bootstrap/dist/releases/start.js',
};
/** What bundled code that is CommonJS takes for granted. */
const banner = [
  "import { createRequire as ioCreateRequire } from 'node:module';",
  "import { fileURLToPath as ioFileURLToPath } from 'node:url';",
  'const require = ioCreateRequire(import.meta.url);',
  'const __filename = ioFileURLToPath(import.meta.url);',
  "const __dirname = ioFileURLToPath(new URL('.', import.meta.url));",
].join('\n');

/** What makes of the archive a package that `npx` takes by its address; nothing else reads it. */
const npmPackage = version => ({
  name: 'iocloud-agent',
  version,
  description: 'Lets a machine join an iocloud control plane',
  license: 'Apache-2.0',
  type: 'module',
  bin: { 'iocloud-agent': 'agent/program/join.mjs' },
  engines: { node: '>=20.10' },
  os: ['linux', 'darwin'],
});

/**
 * Returns false where the archive that is there is of these sources already. `root`: of the checkout, built. `release`:
 * the directory that the archive and its manifest go to.
 */
export async function packAgent(root, release = join(root, 'worker-bootstrap', 'release')) {
  const { build } = await import('esbuild');
  const tar = await import('tar');
  await mkdir(release, { recursive: true });
  const work = await mkdtemp(join(release, '.new-'));
  try {
    const tree = join(work, 'iocloud-agent');
    await build({
      entryPoints: Object.fromEntries(Object.entries(programs).map(([name, file]) => [name, join(root, file)])),
      outdir: join(tree, 'agent', 'program'),
      outExtension: { '.js': '.mjs' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20.10',
      banner: { js: banner },
      // ssh2's optional native parts: it does without.
      external: ['cpu-features', '*/sshcrypto.node'],
      logLevel: 'error',
    });
    await cp(join(root, 'worker-bootstrap', 'python'), join(tree, 'python'), {
      recursive: true,
      filter: source => !source.includes('__pycache__'),
    });
    await cp(join(root, 'python', 'ray.lock'), join(tree, 'ray.lock'));
    const { version } = JSON.parse(await readFile(join(root, 'worker-bootstrap', 'package.json'), 'utf8'));
    await writeFile(join(tree, 'VERSION'), `${version}\n`);
    await writeFile(join(tree, 'package.json'), `${JSON.stringify(npmPackage(version), null, 2)}\n`);
    const file = `iocloud-agent-${version}.tgz`;
    await tar.create({ gzip: true, portable: true, noMtime: true, cwd: work, file: join(work, file) }, [
      'iocloud-agent',
    ]);
    const sha256 = createHash('sha256')
      .update(await readFile(join(work, file)))
      .digest('hex');
    const manifestFile = join(release, 'manifest.json');
    const before = JSON.parse(await readFile(manifestFile, 'utf8').catch(() => '{}'));
    if (before.version === version && before.sha256 === sha256 && before.serial !== undefined) return false;
    // Rises with time, so that no machine is led back to an older one: see docs/agent-releases.md.
    const serial = Math.max(Math.floor(Date.now() / 1000), (before.serial ?? 0) + 1);
    const manifest = `${JSON.stringify({ version, serial, floor: 0, file, sha256 }, null, 2)}\n`;
    // The archive first: a manifest never names what is not there.
    await rename(join(work, file), join(release, file));
    await writeFile(join(work, 'manifest.json'), manifest);
    await rename(join(work, 'manifest.json'), manifestFile);
    return true;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
