/** `iocloud ssh` and `iocloud ssh-config`: the user's own OpenSSH client, told where to and whom to trust. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Cluster, SshAccess } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { findCluster } from './cluster.js';
import { loginFile } from './credentials.js';
import { CliError } from './exit.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

/** What an OpenSSH client must be told, as its configuration file words it. */
export interface SshTarget {
  host: string;
  port: number;
  user: string;
  knownHosts: string;
}

/** Of the ciphers that are safe the one that processors have instructions for: it carries most. */
const cipher = '^aes128-gcm@openssh.com';

export function sshOptions(target: SshTarget): [string, string][] {
  return [
    ['HostName', target.host],
    ['Port', String(target.port)],
    ['User', target.user],
    ['UserKnownHostsFile', target.knownHosts],
    ['StrictHostKeyChecking', 'yes'],
    ['Ciphers', cipher],
    ['ServerAliveInterval', '15'],
  ];
}

/** A block of ~/.ssh/config. */
export function configBlock(alias: string, target: SshTarget): string {
  const lines = sshOptions(target).map(([name, value]) => `  ${name} ${/\s/.test(value) ? `"${value}"` : value}`);
  return [`Host ${alias}`, ...lines].join('\n');
}

export function sshArguments(target: SshTarget, command: readonly string[]): string[] {
  const named = sshOptions(target).filter(([name]) => !['HostName', 'Port', 'User'].includes(name));
  const options = named.flatMap(([name, value]) => ['-o', `${name}=${/\s/.test(value) ? `"${value}"` : value}`]);
  return ['-p', String(target.port), ...options, `${target.user}@${target.host}`, ...command];
}

/** A line that a shell takes as it is. */
export const shellLine = (words: readonly string[]): string =>
  words.map(word => (/^[\w@%+=:,./^~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');

export function sshCommands(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command('ssh <cluster> [command...]')
      .description('a shell in a cluster’s head, or one command there; options come before the cluster'),
  )
    .option('--node <place>', 'on another Ray node of it: workers-0, or the name or id of its machine')
    .option('--print', 'print the line instead of running it')
    .passThroughOptions()
    .action((reference: string, command: string[], options: CommonOptions & { node?: string; print?: boolean }) =>
      run(terminal, options, async ({ client, show, json }) => {
        const cluster = await findCluster(client, reference);
        const target = await targetOf(client, terminal, cluster, options.node);
        const args = sshArguments(target, command);
        if (options.print || json) return show({ ...target, arguments: args }, () => shellLine(['ssh', ...args]));
        terminal.setExitCode(await runSsh(args));
      }),
    );

  withCommonOptions(
    program
      .command('ssh-config [cluster...]')
      .description('blocks for ~/.ssh/config, for VS Code and others; of all ready clusters when none is named'),
  )
    .option('--prefix <text>', 'before each name', 'iocloud-')
    .action((references: string[], options: CommonOptions & { prefix: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const clusters =
          references.length > 0
            ? await Promise.all(references.map(reference => findCluster(client, reference)))
            : (await collect(client.list('listClusters'))).filter(({ phase }) => phase === 'ready');
        if (clusters.length === 0) throw new CliError('notFound', 'no cluster is ready; name one that will be');
        const targets: (SshTarget & { alias: string })[] = [];
        for (const cluster of clusters) {
          const alias = `${options.prefix}${cluster.spec.name}`;
          targets.push({ alias, ...(await targetOf(client, terminal, cluster, undefined)) });
        }
        show(targets, () => targets.map(target => configBlock(target.alias, target)).join('\n\n'));
      }),
    );
}

async function targetOf(
  client: Client,
  terminal: Terminal,
  cluster: Cluster,
  place: string | undefined,
): Promise<SshTarget> {
  const access = await client.call('sshAccess');
  const host = new URL(client.address).hostname.replace(/^\[|\]$/g, '');
  const knownHosts = path.join(path.dirname(loginFile(terminal.environment)), 'known_hosts');
  await pin(knownHosts, host, access);
  const user = place === undefined ? cluster.spec.name : `${cluster.spec.name}+${place}`;
  return { host, port: access.port, user, knownHosts };
}

/** Keeps the host key that came with the first answer, and trusts no other for that address ever after. */
export async function pin(file: string, host: string, access: SshAccess): Promise<void> {
  const place = access.port === 22 ? host : `[${host}]:${access.port}`;
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw new CliError('usage', `cannot read ${file}: ${error.message}`);
  });
  const line = `${place} ${access.hostKey}`;
  const known = text.split('\n').find(one => one.startsWith(`${place} `));
  if (known === line) return;
  if (known !== undefined) {
    throw new CliError(
      'conflict',
      `the SSH host key of ${place} is another one than before (now ${access.fingerprint}): if the control plane was set up anew, remove its line from ${file}`,
    );
  }
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${text && !text.endsWith('\n') ? `${text}\n` : text}${line}\n`, { mode: 0o600 });
  await rename(draft, file);
}

/** Returns the exit code of ssh, which is that of the command or, for an error of its own, 255. */
async function runSsh(args: readonly string[]): Promise<number> {
  // Ctrl-C is for what runs there.
  process.on('SIGINT', () => undefined);
  const child = spawn('ssh', args, { stdio: 'inherit' });
  const failed = once(child, 'error').then(([error]) => {
    throw new CliError('usage', `cannot run ssh (${(error as Error).message}): install the OpenSSH client`);
  });
  const [code] = (await Promise.race([once(child, 'exit'), failed])) as [number | null];
  return code ?? 255;
}
