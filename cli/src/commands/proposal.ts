/** `iocloud proposal …`: votes on the parameters of the token rules. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { CliError } from './exit.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';
import { proposalInWords, proposalTable } from './token-render.js';

/** `cooldownHours=504`, `stakePerGpu=300`, `multiplierPpm.h100-sxm=2000000`; the contract says what can be. */
export function parseChange(text: string, before: Record<string, unknown> = {}): Record<string, unknown> {
  const [, name = '', model, value = ''] = /^([A-Za-z]+)(?:\.([a-z0-9-]+))?=(\S+)$/.exec(text) ?? [];
  if (name === '') throw new CliError('usage', `"${text}" is no change such as cooldownHours=504`);
  // Amounts of IO are text, so that no digit is lost.
  const parsed = name === 'stakePerGpu' || name === 'proposalStake' ? value : Number(value);
  if (model === undefined) return { ...before, [name]: parsed };
  return { ...before, [name]: { ...(before[name] as object | undefined), [model]: parsed } };
}

export function proposalCommands(program: Command, terminal: Terminal): void {
  const group = program.command('proposal').description('proposals to change the token rules, and votes on them');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  leaf('list', 'newest first')
    .option('--limit <n>', 'at most so many', argument(parseCount), 50)
    .action((options: CommonOptions & { limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const proposals = await collect(client.list('listProposals', {}, options.limit));
        show(proposals, () => proposalTable(proposals));
      }),
    );
  leaf('show <proposal>', 'one of them').action((proposalId: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const proposal = await client.call('getProposal', { params: { proposalId } });
      show(proposal, () => proposalInWords(proposal));
    }),
  );
  leaf('create <title>', 'propose; takes a stake (`iocloud token status`)')
    .requiredOption('--text <text>', 'why')
    .requiredOption(
      '--set <name=value...>',
      'a parameter, such as cooldownHours=504 or multiplierPpm.h100-sxm=2000000',
      (text: string, before: Record<string, unknown> | undefined) => argument(() => parseChange(text, before))(text),
    )
    .option('--key <key>', 'repeated with the same key, it is one proposal')
    .action((title: string, options: CommonOptions & { text: string; set: Record<string, unknown>; key?: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const body = { title, text: options.text, changes: options.set };
        const made = await client.call('createProposal', { body, idempotencyKey: options.key ?? randomUUID() });
        show(made, () => proposalInWords(made));
      }),
    );
  leaf('vote <proposal> <yes|no|abstain>', 'vote once, with the stake that you had when it was proposed').action(
    (proposalId: string, vote: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const proposal = await client.call('castVote', { params: { proposalId }, body: { vote } });
        show(proposal, () => proposalInWords(proposal));
      }),
  );
}
