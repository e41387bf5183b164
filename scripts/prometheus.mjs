// Prometheus, of Debian's package and without installing it: the tests of metering run against the real server.
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './python-env.mjs';
import { run, step } from './steps.mjs';

/** Path of the program; null, and says so, where there is no such package. */
export async function ensurePrometheus(directory, onPath) {
  if (await onPath('prometheus')) return 'prometheus';
  const program = join(directory, 'prometheus');
  if (await exists(program)) return program;
  if (!(await onPath('apt-get')) || !(await onPath('dpkg-deb'))) {
    process.stderr.write(
      'no prometheus and no Debian packages here: metering from a real one is NOT tested in this run\n',
    );
    return null;
  }
  await step('Prometheus (Debian package)', async () => {
    await mkdir(directory, { recursive: true });
    const work = await mkdtemp(join(directory, 'prometheus-'));
    try {
      const download = () => run('apt-get', ['download', '-qq', 'prometheus'], { cwd: work });
      // A machine that has never looked at its package lists knows of none.
      await download().catch(async () => {
        await run('apt-get', ['update', '-qq']);
        await download();
      });
      const [archive = ''] = await readdir(work);
      await run('dpkg-deb', ['-x', join(work, archive), join(work, 'files')]);
      await rename(join(work, 'files', 'usr', 'bin', 'prometheus'), program);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return program;
}
