// What the tests run containers from: podman, and a base image of Debian packages. Nothing comes from a registry of images.
import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './python-env.mjs';
import { run, SetupError, step } from './steps.mjs';

const suite = 'bookworm';
/** What Ray's environment and a shell need; Python itself comes with the environment, where that has one of its own. */
const packages = [
  ...['bash', 'coreutils', 'dash', 'findutils', 'grep', 'procps', 'sed', 'tar', 'gzip', 'python3', 'ca-certificates'],
  ...['libbz2-1.0', 'libexpat1', 'libffi8', 'libgcc-s1', 'liblzma5', 'libncursesw6', 'libreadline8', 'libsqlite3-0'],
  ...['libssl3', 'libstdc++6', 'libuuid1', 'zlib1g'],
  // What asks for Ray's health in pods, as in Ray's own images.
  'wget',
];
const digest = createHash('sha256')
  .update(`${suite} ${packages.join(' ')}`)
  .digest('hex')
  .slice(0, 12);
const image = `localhost/iocloud-test:${digest}`;
const programs = ['podman', 'runc', 'mkfs.ext4', 'mount'];
const debian = ['podman', 'runc', 'e2fsprogs', 'mount', 'mmdebstrap'];

/** Returns the image's name; null, and says so, on machines that cannot run containers. */
export async function ensureTestImage(cache, onPath) {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    process.stderr.write('not root on Linux: the promises about containers are NOT tested in this run\n');
    return null;
  }
  const missing = [];
  for (const program of programs) if (!(await onPath(program))) missing.push(program);
  if (missing.length > 0) {
    if (!(await onPath('apt-get'))) {
      throw new SetupError(`the tests need ${missing.join(', ')}: install them and run again`);
    }
    await step('podman (Debian package)', () => install(debian));
  }
  if (await works('podman', ['image', 'exists', image])) return image;
  const archive = await ensureBaseArchive(cache, onPath);
  await step('the base image for podman', () => run('podman', ['import', '--quiet', archive, image]));
  return image;
}

/** The files of the base image as one archive. */
export async function ensureBaseArchive(cache, onPath) {
  const archive = join(cache, `test-image-${digest}.tar`);
  if (await exists(archive)) return archive;
  await step('a base image for containers (Debian packages)', async () => {
    await mkdir(cache, { recursive: true });
    if (!(await onPath('mmdebstrap'))) await install(['mmdebstrap']);
    const made = `${archive}.${process.pid}.new.tar`;
    try {
      await run('mmdebstrap', ['--quiet', '--variant=extract', `--include=${packages.join(',')}`, suite, made]);
      await rename(made, archive);
    } finally {
      await rm(made, { force: true });
    }
  });
  return archive;
}

export async function install(names) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env });
}

const works = (program, args) =>
  run(program, args).then(
    () => true,
    () => false,
  );
