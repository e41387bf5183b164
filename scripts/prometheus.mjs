// Prometheus, its promtool and Alertmanager's amtool, of Debian's packages and without installing them: the tests of
// metering run against the real server, rules and the routing of alerts are checked by the real tools.
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './python-env.mjs';
import { run, step } from './steps.mjs';

const forTests = { prometheus: ['prometheus', 'promtool'], 'prometheus-alertmanager': ['amtool'] };

/** Paths by the program's name; null, and says so, where they can neither be found nor fetched. */
export async function ensurePrometheus(directory, onPath) {
  const found = await ensurePrograms(forTests, directory, onPath);
  if (!found) {
    process.stderr.write(
      'no Prometheus, promtool and amtool, and no Debian packages here: metering from a real one, rules and alerts are NOT tested in this run\n',
    );
  }
  return found;
}

/** `packages`: package → programs of it. Paths by the program's name; null where one is missing and cannot be fetched. */
export async function ensurePrograms(packages, directory, onPath) {
  const paths = {};
  for (const [name, programs] of Object.entries(packages)) {
    // Each by itself: a directory that an earlier release has filled holds some of them.
    const missing = [];
    for (const program of programs) {
      const found = (await onPath(program)) ?? ((await exists(join(directory, program))) && join(directory, program));
      if (found) paths[program] = found;
      else missing.push(program);
    }
    if (missing.length === 0) continue;
    if (!(await onPath('apt-get')) || !(await onPath('dpkg-deb'))) return null;
    await step(`${missing.join(' and ')} (Debian package ${name})`, () => fetchPackage(name, missing, directory));
    for (const program of missing) paths[program] = join(directory, program);
  }
  return paths;
}

async function fetchPackage(name, programs, directory) {
  await mkdir(directory, { recursive: true });
  const work = await mkdtemp(join(directory, `${name}-`));
  try {
    const download = () => run('apt-get', ['download', '-qq', name], { cwd: work });
    // A machine that has never looked at its package lists knows of none.
    await download().catch(async () => {
      await run('apt-get', ['update', '-qq']);
      await download();
    });
    const [archive = ''] = await readdir(work);
    await run('dpkg-deb', ['-x', join(work, archive), join(work, 'files')]);
    for (const program of programs) await rename(join(work, 'files', 'usr', 'bin', program), join(directory, program));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
