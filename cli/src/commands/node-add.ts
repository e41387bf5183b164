/** `iocloud node add`: how a machine joins, and with hosts named, machines that join by SSH. */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { inventoryHelp, parseInventory, parseTarget, refuseTwins, type Target } from '../fleet/inventory.js';
import { loginFile, normaliseAddress } from './credentials.js';
import { CliError, exitCodes } from './exit.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, type Context, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

interface AddOptions extends CommonOptions {
  inventory?: string;
  parallel: number;
  identity?: string;
  sshConfig?: string;
  askPassword?: boolean;
  sudo?: boolean;
  controlPlaneAddress?: string;
  timeout: number;
  again?: boolean;
  shared?: boolean;
}

export const joinWords = (address: string) =>
  [
    'Run this on the machine that shall join, as root for a service that starts by itself:',
    '',
    `  curl -fsSL ${address}/install.sh | sh`,
    '',
    'It shows a code. Approve it here: iocloud node approve WDJB-MJHT',
    'Machines that you reach by SSH join by `iocloud node add user@host …`: see its --help.',
  ].join('\n');

const mostParallel = 64;

export function addCommand(group: Command, terminal: Terminal): void {
  withCommonOptions(
    group
      .command('add [host...]')
      .description('let machines join that you reach by SSH; without one: the line to run on a machine'),
  )
    .option('--inventory <file>', 'machines, one a line; - reads them from standard input')
    .option('--parallel <n>', `so many at a time, at most ${mostParallel}`, argument(parseCount), 8)
    .option('--identity <file>', 'private key to log in with; else your ssh-agent, your keys and ~/.ssh/config')
    .option('--ssh-config <file>', 'instead of ~/.ssh/config')
    .option('--ask-password', 'ask once for the password of your user on the machines; it is kept nowhere')
    .option('--sudo', 'become root there by sudo, which must not ask for a password')
    .option('--shared', 'offer all of them to other tenants too')
    .option('--control-plane-address <url>', 'how the machines reach the control plane, where that is another address')
    .option('--timeout <time>', 'for each machine', argument(parseSeconds), 1_800)
    .option('--again', 'those that have joined, too: sees to it that their agents run')
    .addHelpText('after', inventoryHelp)
    .addHelpText(
      'after',
      '\nRun it again to go on: those that have joined are skipped. A host’s key is taken the first time and never changed.',
    )
    .action((hosts: string[], options: AddOptions) =>
      run(terminal, options, async context => {
        const { client, show } = context;
        if (hosts.length > 0 || options.inventory !== undefined) return addFleet(hosts, options, context);
        show({ command: `curl -fsSL ${client.address}/install.sh | sh` }, () => joinWords(client.address));
      }),
    );
}

async function addFleet(hosts: readonly string[], options: AddOptions, context: Context): Promise<void> {
  const { terminal, client, show, progress } = context;
  const targets = await targetsOf(hosts, options, terminal);
  if (options.parallel < 1 || options.parallel > mostParallel) {
    throw new CliError('usage', `--parallel: ${options.parallel} is not between 1 and ${mostParallel}`);
  }
  const { signal } = terminal;
  const [script, nodes] = await Promise.all([installScript(client, signal), collect(client.list('listNodes'))]);
  const { enrolFleet, outcomeTable } = await import('../fleet/fleet.js');
  const { Records } = await import('../fleet/record.js');
  const { openDesk } = await import('../fleet/password.js');
  const directory = path.dirname(loginFile(terminal.environment));
  await mkdir(path.join(directory, 'fleet'), { recursive: true, mode: 0o700 });
  const desk = options.askPassword ? await openDesk(await askPassword(terminal)) : null;
  // What ssh starts, a ProxyCommand say, has no use for our key.
  const { IOCLOUD_API_KEY: _, ...environment } = terminal.environment;
  const means = {
    client,
    script,
    ssh: {
      knownHosts: path.join(directory, 'fleet', 'known_hosts'),
      configFile: options.sshConfig ?? null,
      identity: options.identity ?? null,
      password: desk !== null,
    },
    sudo: options.sudo ?? false,
    controlPlane: options.controlPlaneAddress === undefined ? null : normaliseAddress(options.controlPlaneAddress),
    environment: { ...environment, LC_ALL: 'C', ...desk?.environment },
    now: terminal.now,
    pause: terminal.pause,
  };
  try {
    const fleet = {
      targets,
      parallel: options.parallel,
      timeoutMs: options.timeout * 1_000,
      known: new Set<string>(nodes.map(({ id }) => id)),
      again: options.again ?? false,
      records: new Records(directory, client.address),
      say: progress,
      signal,
    };
    const outcomes = await enrolFleet(fleet, means);
    show(outcomes, () => outcomeTable(outcomes));
    const missing = outcomes.filter(({ state }) => state === 'failed' || state === 'interrupted').length;
    if (missing === 0) return;
    progress(`iocloud: ${missing} of ${outcomes.length} have not joined; the same line again goes on with them`);
    terminal.setExitCode(signal.aborted ? exitCodes.interrupted : exitCodes.callFailed);
  } finally {
    await desk?.close();
  }
}

async function targetsOf(hosts: readonly string[], options: AddOptions, terminal: Terminal): Promise<Target[]> {
  const { inventory } = options;
  const listed =
    inventory === undefined
      ? []
      : inventory === '-'
        ? parseInventory(await terminal.readInput(), 'standard input')
        : parseInventory(await readFile(inventory, 'utf8').catch(error => unreadable(inventory, error)), inventory);
  const targets = [...hosts.map(host => parseTarget([host], 'host')), ...listed].map(target => ({
    ...target,
    shared: target.shared || (options.shared ?? false),
  }));
  if (targets.length === 0) throw new CliError('usage', `${inventory} names no machine`);
  refuseTwins(targets);
  return targets;
}

function unreadable(file: string, error: unknown): never {
  throw new CliError('usage', `cannot read ${file}: ${(error as Error).message}`);
}

async function askPassword(terminal: Terminal): Promise<string> {
  if (!terminal.interactive) throw new CliError('usage', 'nobody is here to be asked for a password: use a key');
  const password = await terminal.askSecret('Password of your user on the machines: ');
  if (password === '') throw new CliError('usage', 'no password was given');
  return password;
}

async function installScript(client: Client, signal: AbortSignal): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of await client.stream('installScript', {}, signal)) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}
