// For tests: another release from a packed one, signed with OpenSSH's own tool as an operator does it.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What `ssh-keygen -Y sign` writes for a file with this text. `directory`: for what passes on the way. */
export async function signWithOpenSsh(directory, keyFile, namespace, text) {
  const file = join(
    directory,
    `to-sign-${createHash('sha256').update(text).update(keyFile).digest('hex').slice(0, 16)}`,
  );
  await writeFile(file, text);
  await rm(`${file}.sig`, { force: true });
  await run('ssh-keygen', ['-q', '-Y', 'sign', '-f', keyFile, '-n', namespace, file]);
  return readFile(`${file}.sig`, 'utf8');
}

/**
 * Makes `directory` a release as the packer leaves it, with its signature, and returns all three parts. `begin`: a line of
 * JavaScript that its agent begins with.
 */
export async function repackAgent(archive, directory, { version, serial, floor = 0, begin = '', keyFile }) {
  const tree = join(directory, 'iocloud-agent');
  await mkdir(directory, { recursive: true });
  await run('tar', ['-xzf', archive, '-C', directory]);
  const program = join(tree, 'agent', 'program', 'main.mjs');
  const text = await readFile(program, 'utf8');
  const first = text.startsWith('#!') ? text.indexOf('\n') + 1 : 0;
  await writeFile(program, `${text.slice(0, first)}/* ${version} */ ${begin}\n${text.slice(first)}`);
  await writeFile(join(tree, 'VERSION'), `${version}\n`);
  const file = `iocloud-agent-${version}.tgz`;
  await run('tar', ['-czf', join(directory, `${file}.new`), '-C', directory, 'iocloud-agent']);
  await rename(join(directory, `${file}.new`), join(directory, file));
  await rm(tree, { recursive: true });
  const bytes = await readFile(join(directory, file));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const manifest = `${JSON.stringify({ version, serial, floor, file, sha256 }, null, 2)}\n`;
  await writeFile(join(directory, 'manifest.json'), manifest);
  const signature = await signWithOpenSsh(directory, keyFile, 'iocloud-agent-release', manifest);
  await writeFile(join(directory, 'manifest.json.sig'), signature);
  return { version, serial, manifest, signature, sha256, archive: bytes, directory };
}
