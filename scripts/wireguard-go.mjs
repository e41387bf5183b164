// wireguard-go, built from its pinned Go module: the tests of networks between machines run on it.
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './python-env.mjs';
import { run, SetupError, step } from './steps.mjs';

const version = 'v0.0.0-20260522210424-ecfc5a8d5446';

/** Builds it into the directory unless it is there; returns its path. */
export async function ensureWireguardGo(directory) {
  const program = join(directory, `wireguard-go-${version}`);
  if (await exists(program)) return program;
  await run('go', ['version']).catch(() => {
    throw new SetupError(
      'the tests need wireguard-go, and to build it Go 1.23 or later: install either (Debian: apt-get install wireguard-go) and run again',
    );
  });
  await step('wireguard-go (Go module)', async () => {
    const env = { ...process.env, GOBIN: directory, CGO_ENABLED: '0', GOFLAGS: '' };
    await run('go', ['install', `golang.zx2c4.com/wireguard@${version}`], { env });
    await rename(join(directory, 'wireguard'), program);
  });
  return program;
}
