/** `iocloud login`, `logout`, `whoami`, `key …`, `user …` */
import type { ApiKey, NewApiKey, User, Whoami } from '@iocloud/contracts';
import type { Command } from 'commander';
import { Client, collect } from '../client.js';
import { age, facts, table } from '../output.js';
import { loginFile, normaliseAddress, removeLogin, resolveCredentials, writeLogin } from './credentials.js';
import { CliError } from './exit.js';
import { parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export function whoamiWords(who: Whoami, address: string): string {
  return facts([
    ['address', address],
    ['tenant', `${who.tenant.name} (${who.tenant.id})`],
    ['user', `${who.user.name} (${who.user.id}), ${who.user.role}`],
    ['key', who.keyId],
    ['may', who.permissions.join(', ')],
  ]);
}

export function keyTable(keys: readonly ApiKey[], nowMs: number): string {
  const state = (key: ApiKey) => {
    if (key.revokedAt) return `revoked ${age(key.revokedAt, nowMs)} ago`;
    if (!key.expiresAt) return 'valid';
    return Date.parse(key.expiresAt) <= nowMs ? 'expired' : `valid until ${key.expiresAt.slice(0, 16)}Z`;
  };
  if (keys.length === 0) return 'no API keys. Make one: iocloud key create --name laptop';
  return table(
    ['name', 'state', 'user', 'may', 'age', 'id'],
    keys.map(key => [key.name, state(key), key.userId, key.scopes.join(' '), age(key.createdAt, nowMs), key.id]),
  );
}

export const newKeyWords = (key: NewApiKey) =>
  `${key.secret}\n\nThis is the only time that the key is shown. Use it: iocloud login, or export IOCLOUD_API_KEY=…`;

export function accountCommands(program: Command, terminal: Terminal): void {
  loginCommands(program, terminal);
  keyCommands(program, terminal);
  userCommands(program, terminal);
}

function loginCommands(program: Command, terminal: Terminal): void {
  withCommonOptions(program.command('login').description('keep an API key for the commands that follow'))
    .option('--key-stdin', 'read the key from standard input (never give it as an argument)')
    .action((options: CommonOptions & { keyStdin?: boolean }) =>
      run(terminal, options, async ({ show, progress }) => {
        const { address } = await resolveCredentials(options.address, terminal.environment);
        if (!options.keyStdin && !terminal.interactive) {
          throw new CliError('usage', 'nobody is here to type the key: give it on standard input with --key-stdin');
        }
        const apiKey = options.keyStdin
          ? await terminal.readInput()
          : await terminal.askSecret(`API key for ${address} (not shown): `);
        if (!/^\S+$/.test(apiKey)) throw new CliError('usage', 'that is no API key: expected one such as ioc_…');
        warnOfPlainText(address, progress);
        const who = await new Client({ address, apiKey, pause: terminal.pause }).call('whoami');
        const file = await writeLogin(terminal.environment, { address, apiKey });
        show({ address, file, ...who }, () => `logged in as ${who.user.name} of ${who.tenant.name}; kept in ${file}`);
        if (terminal.environment.IOCLOUD_API_KEY)
          progress('IOCLOUD_API_KEY is set in this shell and wins over the login');
      }),
    );

  withCommonOptions(program.command('logout').description('forget the API key that login kept')).action(
    (options: CommonOptions) =>
      run(terminal, options, async ({ show }) => {
        const removed = await removeLogin(terminal.environment);
        const file = loginFile(terminal.environment);
        show({ removed }, () =>
          removed ? `${file} is removed; the key itself is valid until revoked` : 'nobody was logged in',
        );
      }),
  );

  withCommonOptions(program.command('whoami').description('who the API key stands for, and what it may do')).action(
    (options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const who = await client.call('whoami');
        show(who, () => whoamiWords(who, client.address));
      }),
  );
}

function warnOfPlainText(address: string, progress: (line: string) => void): void {
  const { protocol, hostname } = new URL(normaliseAddress(address));
  const local = hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
  if (protocol === 'http:' && !local)
    progress(`warning: ${address} is not https: the key crosses the network readable`);
}

function keyCommands(program: Command, terminal: Terminal): void {
  const group = program.command('key').description('API keys');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  leaf('create', 'create an API key; it is shown once')
    .requiredOption('--name <name>', 'what it is for')
    .option('--user <id>', 'whose key; your own when absent')
    .option('--scope <permission...>', 'what it may do; all that you may when absent')
    .option('--expires-in <time>', 'how long it is valid, such as 30d', argument(parseSeconds))
    .action((options: CommonOptions & { name: string; user?: string; scope?: string[]; expiresIn?: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const { name, user, scope, expiresIn } = options;
        const key = await client.call('createApiKey', {
          body: {
            name,
            ...(user === undefined ? {} : { userId: user }),
            ...(scope === undefined ? {} : { scopes: scope }),
            ...(expiresIn === undefined
              ? {}
              : { expiresAt: new Date(terminal.now() + expiresIn * 1000).toISOString() }),
          },
        });
        show(key, () => newKeyWords(key));
      }),
    );
  leaf('list', 'API keys, without their secrets').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const keys = await collect(client.list('listApiKeys'));
      show(keys, () => keyTable(keys, terminal.now()));
    }),
  );
  leaf('revoke <key>', 'revoke an API key at once (its id, ak_…)').action((keyId: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const key = await client.call('revokeApiKey', { params: { keyId } });
      show(key, () => `${key.name} (${key.id}) opens nothing any more`);
    }),
  );
}

function userCommands(program: Command, terminal: Terminal): void {
  const group = program.command('user').description('users of the tenant');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  leaf('create <name>', 'create a user')
    .requiredOption('--role <role>', 'owner, member or viewer')
    .action((name: string, options: CommonOptions & { role: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const user = await client.call('createUser', { body: { name, role: options.role } });
        show(
          user,
          () => `${user.name} (${user.id}) is ${user.role}. Make a key: iocloud key create --name … --user ${user.id}`,
        );
      }),
    );
  leaf('list', 'users').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const users: User[] = await collect(client.list('listUsers'));
      show(users, () =>
        table(
          ['name', 'role', 'age', 'id'],
          users.map(user => [user.name, user.role, age(user.createdAt, terminal.now()), user.id]),
        ),
      );
    }),
  );
}
