/** Kubernetes and KWOK, built from their Go modules at pinned versions and kept for the next time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { repository } from '../../src/harness/index.js';

export const versions = { kubernetes: 'v1.34.4', etcd: 'v3.6.4', kwok: 'v0.8.0' };

export interface Binaries {
  /** Its first argument says which it is: etcd, kube-apiserver or kube-scheduler. */
  server: string;
  kwok: string;
  /** What KWOK does with its nodes and their pods: ready and running at once. */
  stages: string;
}

const note = (line: string) => process.stderr.write(`${line}\n`);

/** Runs it at the lowest priority, two compilers at a time, its progress on standard error. Returns standard output. */
async function go(cwd: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  note(`go ${args.join(' ')}`);
  const child = spawn('nice', ['-n', '19', 'go', ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, GOFLAGS: '-p=2 -buildvcs=false', GOMEMLIMIT: '3GiB', CGO_ENABLED: '0', ...env },
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`go ${args[0]} ended with ${String(code)}; Go 1.24 or later must be on the PATH`);
  return output;
}

/** The version that a binary reports is that of its build, not of the module: said here, or it is v0.0.0. */
const stamp = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  .flatMap(path => [`gitVersion=${versions.kubernetes}`, 'gitMajor=1', 'gitMinor=34'].map(set => `-X ${path}.${set}`))
  .join(' ');

async function buildServer(directory: string, target: string): Promise<void> {
  note(`building Kubernetes ${versions.kubernetes}: once, for 6 to 15 minutes on two processors, at lowest priority`);
  const source = join(directory, 'source');
  await mkdir(source, { recursive: true });
  for (const file of ['main.go', 'go.mod']) {
    await copyFile(join(repository, 'e2e', 'bench', 'kube', 'server', file), join(source, file));
  }
  await go(source, ['build', '-mod=mod', '-v', '-trimpath', '-ldflags', `-s -w ${stamp}`, '-o', `${target}.new`, '.']);
  await rename(`${target}.new`, target);
}

async function buildKwok(directory: string, target: string, stages: string): Promise<void> {
  const module = `sigs.k8s.io/kwok@${versions.kwok}`;
  const scratch = join(directory, 'new');
  await mkdir(scratch, { recursive: true });
  const { Dir: source } = JSON.parse(await go(scratch, ['mod', 'download', '-json', module])) as { Dir: string };
  const files = ['node/fast/node-initialize', 'pod/fast/pod-ready', 'pod/fast/pod-delete'];
  const each = await Promise.all(
    files.map(file => readFile(join(source, 'kustomize', 'stage', `${file}.yaml`), 'utf8')),
  );
  await writeFile(stages, each.join('\n---\n'));
  await go(scratch, ['install', '-v', `sigs.k8s.io/kwok/cmd/kwok@${versions.kwok}`], { GOBIN: scratch });
  await rename(join(scratch, 'kwok'), target);
  await rm(scratch, { recursive: true });
}

export async function binaries(): Promise<Binaries> {
  const directory = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'iocloud', 'kube');
  await mkdir(directory, { recursive: true });
  const built: Binaries = {
    server: join(directory, `kube-server-${versions.kubernetes}`),
    kwok: join(directory, `kwok-${versions.kwok}`),
    stages: join(directory, `kwok-stages-${versions.kwok}.yaml`),
  };
  if (!existsSync(built.kwok)) await buildKwok(directory, built.kwok, built.stages);
  if (!existsSync(built.server)) await buildServer(directory, built.server);
  return built;
}
