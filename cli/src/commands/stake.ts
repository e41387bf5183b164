/** `iocloud stake …`: stakes on machines; `iocloud slash …`: what was taken of them. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { facts } from '../output.js';
import { CliError } from './exit.js';
import { findNode } from './node.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import { findTenant } from './tenant.js';
import type { Terminal } from './terminal.js';
import { settingsInWords, slashTable, stakeTable, unstakingTable } from './token-render.js';

type Keyed = CommonOptions & { key?: string };
type Leaf = (name: string, description: string) => Command;

const withKey = (command: Command): Command =>
  command.option('--key <key>', 'repeated with the same key, it happens once');

/** A machine of others' is named by its id, which its supplier gives away. */
async function nodeIdOf(client: Client, reference: string): Promise<string> {
  return /^nd_[0-9a-z]{20}$/.test(reference) ? reference : (await findNode(client, reference)).id;
}

function parsePercent(text: string): number {
  const [, whole = '', fraction = ''] = /^(\d{1,2})(?:\.(\d{1,4}))?$/.exec(text) ?? [];
  if (whole === '') throw new CliError('usage', `"${text}" is no percentage such as 2 or 1.5`);
  return Number(whole + fraction.padEnd(4, '0'));
}

export function stakeCommands(program: Command, terminal: Terminal): void {
  const stake = program.command('stake').description('IO that you stake on machines, yours or others’');
  const leaf: Leaf = (name, description) => withCommonOptions(stake.command(name).description(description));
  leaf('list', 'your stakes, and others’ on your machines').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const stakes = await collect(client.list('listStakes'));
      show(stakes, () => stakeTable(stakes));
    }),
  );
  withKey(leaf('add <node> <amount>', 'stake IO on a machine; another supplier’s by its id'))
    .option('--from-earnings', 'take it from what you have earned, not from what is available')
    .action((node: string, amount: string, options: Keyed & { fromEarnings?: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const from = options.fromEarnings ? 'earnings' : 'available';
        const body = { nodeId: await nodeIdOf(client, node), amount, from };
        const made = await client.call('stakeTokens', { body, idempotencyKey: options.key ?? randomUUID() });
        show(made, () => stakeTable([made]));
      }),
    );
  withKey(
    leaf('remove <node> <amount>', 'take stake off a machine: no rewards while it cools down, and no way back'),
  ).action((node: string, amount: string, options: Keyed) =>
    run(terminal, options, async ({ client, show }) => {
      const body = { nodeId: await nodeIdOf(client, node), amount };
      const made = await client.call('unstakeTokens', { body, idempotencyKey: options.key ?? randomUUID() });
      show(made, () => unstakingTable([made]));
    }),
  );
  leaf('cooling', 'what is on its way out, newest first')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & { limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const all = await collect(client.list('listUnstakings', {}, options.limit));
        show(all, () => unstakingTable(all));
      }),
    );
  settingsCommand(leaf, terminal);
  slashCommands(program, terminal);
}

function settingsCommand(leaf: Leaf, terminal: Terminal): void {
  leaf('settings', 'third-party stake on your machines, and who referred you; with an option, changes it')
    .option('--delegation <percent>', 'part of rewards for third-party stakers, or "none"')
    .option('--referrer <tenant>', 'id of who referred you; said once')
    .action((options: CommonOptions & { delegation?: string; referrer?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { delegation, referrer } = options;
        const body = {
          ...(delegation === undefined
            ? {}
            : { delegationPpm: delegation === 'none' ? null : parsePercent(delegation) }),
          ...(referrer === undefined ? {} : { referrerId: await tenantIdOf(client, referrer) }),
        };
        const isChange = Object.keys(body).length > 0;
        const settings = isChange
          ? await client.call('changeTokenSettings', { body })
          : await client.call('getTokenSettings');
        show(settings, () => settingsInWords(settings));
      }),
    );
}

/** Only operators can look up a name. */
const tenantIdOf = async (client: Client, reference: string): Promise<string> =>
  /^tn_[0-9a-z]{20}$/.test(reference) ? reference : findTenant(client, reference);

interface SlashOptions extends Keyed {
  reason: string;
  evidence: string;
}

function slashCommands(program: Command, terminal: Terminal): void {
  const group = program.command('slash').description('stake that was taken, and appeals against that');
  const leaf: Leaf = (name, description) => withCommonOptions(group.command(name).description(description));
  leaf('list', 'slashes that you have a part in, newest first')
    .option('--all', 'of everybody (for operators)')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & { all?: boolean; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const slashes = await collect(client.list('listSlashes', { all: options.all }, options.limit));
        show(slashes, () => slashTable(slashes));
      }),
    );
  leaf('appeal <slash>', 'appeal against a slash on a machine of yours, once')
    .requiredOption('--reason <text>', 'why it is wrong')
    .action((slashId: string, options: CommonOptions & { reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const made = await client.call('appealSlash', { params: { slashId }, body: { reason: options.reason } });
        show(made, () => slashTable([made]));
      }),
    );
  withKey(leaf('add <node> <amount>', 'slash the stake on a machine, by its id (for operators)'))
    .requiredOption('--reason <text>', 'why; all stakers read it')
    .requiredOption('--evidence <text>', 'where it can be seen; the supplier reads it')
    .action((nodeId: string, amount: string, options: SlashOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { nodeId, amount, reason: options.reason, evidence: options.evidence };
        const made = await client.call('slashStake', { body, idempotencyKey: options.key ?? randomUUID() });
        show(made, () => slashTable([made]));
      }),
    );
  for (const [name, decision, description] of [
    ['return <slash>', 'upheld', 'uphold an appeal: all goes back (for operators)'],
    ['confirm <slash>', 'rejected', 'reject an appeal: it is burned when its month is over (for operators)'],
  ] as const) {
    leaf(name, description)
      .requiredOption('--reason <text>', 'why')
      .action((slashId: string, options: CommonOptions & { reason: string }) =>
        run(terminal, options, async ({ client, show }) => {
          const body = { decision, reason: options.reason };
          const made = await client.call('decideSlash', { params: { slashId }, body });
          show(made, () =>
            facts([
              ['slash', made.id],
              ['state', made.state],
              ['decision', made.decision ?? ''],
            ]),
          );
        }),
      );
  }
}
