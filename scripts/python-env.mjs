// Python environments from hash-pinned locks. One is made aside and renamed when whole, so a set-up that was cut short
// leaves none that is half made.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run, SetupError, step } from './steps.mjs';

const oldest = [3, 10];
const newest = [3, 14];

/** The first Python that Ray has wheels for. */
export async function findPython() {
  const seen = [];
  for (const name of ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.14', 'python3.10', 'python']) {
    const version = await run(name, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).catch(() => null);
    if (version === null) continue;
    const [major, minor] = version.trim().split('.').map(Number);
    if (major === oldest[0] && minor >= oldest[1] && minor <= newest[1]) return name;
    seen.push(`${name} is ${version.trim()}`);
  }
  const found = seen.length > 0 ? seen.join(', ') : 'none found';
  throw new SetupError(
    `Python ${oldest.join('.')} to ${newest.join('.')} is needed (${found}): install one and run again`,
  );
}

/** Python with uv in it: from pip where there is pip, else from the wheel that pip itself can be run from. */
async function uv(python, dir) {
  const program = join(dir, 'bin', 'uv');
  if (await exists(program)) return program;
  await rm(dir, { recursive: true, force: true });
  try {
    await run(python, ['-m', 'venv', dir]);
  } catch (error) {
    throw new SetupError(
      `${python} cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv) and run again\n${error.message}`,
    );
  }
  await run(join(dir, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', uvPin]);
  return program;
}
const uvPin = 'uv==0.13.9';

/** Makes the environment `venv` from `lock` unless it is there already. */
export async function ensureEnvironment(title, venv, lock, toolsDir) {
  const python = await findPython();
  const version = (await run(python, ['-VV'])).trim();
  const stamp = createHash('sha256')
    .update(await readFile(lock))
    .update(version)
    .digest('hex');
  if ((await readFile(join(venv, '.iocloud-stamp'), 'utf8').catch(() => '')) === stamp) return;
  await step(title, async () => {
    await mkdir(dirname(venv), { recursive: true });
    const program = await uv(python, join(toolsDir, 'uv'));
    await rm(venv, { recursive: true, force: true });
    // Byte code is compiled once here: Ray starts far faster from it.
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '' };
    await run(program, ['venv', '--quiet', '--python', python, venv], { env });
    const install = [
      'pip',
      'install',
      '--quiet',
      '--compile-bytecode',
      '--require-hashes',
      '--python',
      join(venv, 'bin', 'python'),
    ];
    await run(program, [...install, '-r', lock], { env });
    await writeFile(`${join(venv, '.iocloud-stamp')}.new`, stamp);
    await rename(`${join(venv, '.iocloud-stamp')}.new`, join(venv, '.iocloud-stamp'));
  });
}

export const exists = path =>
  access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
