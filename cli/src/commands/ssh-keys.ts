/** `iocloud ssh-key …` and `iocloud ssh-sessions` */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { SshKey, SshSession } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { age, bytes, duration, table } from '../output.js';
import { findCluster } from './cluster.js';
import type { Environment } from './credentials.js';
import { CliError } from './exit.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import { sign } from './ssh-key-proof.js';
import type { Terminal } from './terminal.js';

/** As ssh itself prefers them. */
const usualFiles = ['id_ed25519.pub', 'id_ecdsa.pub', 'id_rsa.pub'];

export function sshKeyTable(keys: readonly SshKey[], nowMs: number): string {
  if (keys.length === 0) return 'no SSH keys. Register yours: iocloud ssh-key add ~/.ssh/id_ed25519.pub';
  return table(
    ['name', 'type', 'fingerprint', 'proved', 'user', 'age', 'last used', 'id'],
    keys.map(key => [
      key.name,
      key.type,
      key.fingerprint,
      key.proved ? 'yes' : 'no: add it again',
      key.userId,
      age(key.createdAt, nowMs),
      key.lastUsedAt ? `${age(key.lastUsedAt, nowMs)} ago` : 'never',
      key.id,
    ]),
  );
}

export function sessionTable(sessions: readonly SshSession[], nowMs: number): string {
  if (sessions.length === 0) return 'nobody has opened a shell or a port yet';
  return table(
    ['began', 'what', 'cluster', 'user', 'from', 'by', 'in', 'out', 'lasted', 'end'],
    sessions.map(session => [
      `${session.startedAt.slice(0, 19)}Z`,
      session.target ? `${session.kind} ${session.target}` : session.kind,
      session.clusterId ?? '-',
      session.userId,
      session.address,
      session.via === 'ssh' ? (session.keyFingerprint ?? '') : `${session.via} ${session.apiKeyId}`,
      bytes(session.bytesIn),
      bytes(session.bytesOut),
      duration((session.endedAt ? Date.parse(session.endedAt) : nowMs) - Date.parse(session.startedAt)),
      session.endReason ?? 'goes on',
    ]),
  );
}

export function sshKeyCommands(program: Command, terminal: Terminal): void {
  const group = program.command('ssh-key').description('SSH keys that open shells and ports in your clusters');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));

  leaf('add [file]', 'register your public key, which signs to prove that it is yours; - reads it from standard input')
    .option('--name <name>', 'what it is called; the key’s own comment when absent')
    .option('--challenge <file>', 'of a proof that was made elsewhere: what `iocloud ssh-key challenge` printed')
    .option('--signature <file>', 'and its signature')
    .addHelpText('after', proofHelp)
    .action((file: string | undefined, options: CommonOptions & AddOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { publicKey, from } = await readKey(file, terminal);
        const { name } = options;
        const proof = await proofOf(client, terminal, options, publicKey, from);
        const body = { publicKey, proof, ...(name === undefined ? {} : { name }) };
        const key = await client.call('createSshKey', { body });
        show(key, () => `${key.name} (${key.fingerprint}) opens your clusters now: iocloud ssh <cluster>`);
      }),
    );
  leaf('challenge', 'a text for a key on another machine to sign, good for ten minutes').action(
    (options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const challenge = await client.call('challengeSshKey');
        show(challenge, () => challenge.challenge);
      }),
  );
  leaf('list', 'SSH keys of the tenant’s users').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const keys = await collect(client.list('listSshKeys'));
      show(keys, () => sshKeyTable(keys, terminal.now()));
    }),
  );
  leaf('remove <key>', 'remove a key (name, id or fingerprint) and end what it has opened').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { id } = await findKey(client, reference);
        const key = await client.call('removeSshKey', { params: { sshKeyId: id } });
        show(key, () => `${key.name} (${key.fingerprint}) opens nothing any more; what it had opened is ended`);
      }),
  );

  withCommonOptions(
    program
      .command('ssh-sessions')
      .description('who opened shells, transfers and ports in your clusters, newest first'),
  )
    .option('--cluster <cluster>', 'only into this cluster (name or id)')
    .option('--user <id>', 'only of this user')
    .option('--live', 'only those that go on')
    .option('--limit <n>', 'the latest so many', argument(parseCount), 50)
    .action((options: CommonOptions & { cluster?: string; user?: string; live?: boolean; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const cluster = options.cluster === undefined ? undefined : (await findCluster(client, options.cluster)).id;
        const query = { cluster, user: options.user, live: options.live };
        const sessions = await collect(client.list('listSshSessions', query, options.limit));
        show(sessions, () => sessionTable(sessions, terminal.now()));
      }),
    );
}

interface AddOptions {
  name?: string;
  challenge?: string;
  signature?: string;
}

const proofHelp = `
The key's private half must lie beside the file, or be in your ssh-agent. Where it is on another machine:
  iocloud ssh-key challenge > challenge                                          here
  ssh-keygen -Y sign -n iocloud -f ~/.ssh/id_ed25519 challenge                   there: makes challenge.sig
  iocloud ssh-key add id_ed25519.pub --challenge challenge --signature challenge.sig`;

async function proofOf(
  client: Client,
  terminal: Terminal,
  options: AddOptions,
  publicKey: string,
  from: string | null,
): Promise<{ challenge: string; signature: string }> {
  if ((options.challenge === undefined) !== (options.signature === undefined)) {
    throw new CliError('usage', '--challenge and --signature belong together');
  }
  if (options.challenge !== undefined && options.signature !== undefined) {
    return { challenge: await textOf(options.challenge), signature: await textOf(options.signature) };
  }
  const challenge = await client.call('challengeSshKey');
  const signature = await sign(challenge, publicKey, from, terminal.environment);
  return { challenge: challenge.challenge, signature };
}

const textOf = async (file: string): Promise<string> =>
  (await readFile(file, 'utf8').catch(error => unreadable(file, error))).trim();

async function readKey(
  file: string | undefined,
  terminal: Terminal,
): Promise<{ publicKey: string; from: string | null }> {
  if (file === '-') return { publicKey: (await terminal.readInput()).trim(), from: null };
  if (file !== undefined) return { publicKey: await textOf(file), from: file };
  const directory = sshDirectory(terminal.environment);
  for (const name of usualFiles) {
    const usual = path.join(directory, name);
    const text = await readFile(usual, 'utf8').catch(() => null);
    if (text !== null) return { publicKey: text.trim(), from: usual };
  }
  throw new CliError(
    'usage',
    `no public key in ${directory}: make one with \`ssh-keygen -t ed25519\`, or name its file`,
  );
}

const sshDirectory = (environment: Environment): string => path.join(environment.HOME || homedir(), '.ssh');

function unreadable(file: string, error: unknown): never {
  throw new CliError('usage', `cannot read ${file}: ${(error as Error).message}`);
}

async function findKey(client: Client, reference: string): Promise<SshKey> {
  const keys = await collect(client.list('listSshKeys'));
  const found = keys.filter(key => [key.id, key.fingerprint, key.name].includes(reference));
  const [key] = found;
  if (!key) throw new CliError('notFound', `no SSH key ${reference}; \`iocloud ssh-key list\` names them`);
  if (found.length > 1) throw new CliError('usage', `several SSH keys are called ${reference}: give the id`);
  return key;
}
