/** `iocloud node verification`, `node verify`, `node appeal`, and for operators `iocloud appeal …` */
import type { Command } from 'commander';
import { collect } from '../client.js';
import { CliError } from './exit.js';
import { findNode } from './node.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';
import { verificationDetails, verificationTable } from './verification-render.js';

/** A day of a machine with one device, and more than anybody reads. */
const shownAtMost = 100;
const searchedAtMost = 1_000;

export function verificationCommands(group: Command, terminal: Terminal): void {
  withCommonOptions(
    group
      .command('verification <node> [verification]')
      .description('verdicts on whether its devices are what they say; with an id, all that one was judged by'),
  ).action((reference: string, id: string | undefined, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const { id: nodeId } = await findNode(client, reference);
      const query = { limit: id === undefined ? shownAtMost : searchedAtMost };
      const { items } = await client.call('listVerifications', { params: { nodeId }, query });
      const found = items.filter(one => id === undefined || one.id === id);
      const [one] = found;
      if (id === undefined) return show(found, () => verificationTable(found));
      if (!one) throw new CliError('notFound', `${reference} has no verification ${id}`);
      show(one, () => verificationDetails(one));
    }),
  );
  withCommonOptions(
    group.command('verify <node>').description('have it verified now, as after it failed and was put right'),
  ).action((reference: string, options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const { id: nodeId, name } = await findNode(client, reference);
      const asked = await client.call('verifyNode', { params: { nodeId } });
      show(
        asked,
        () => `${name} is verified as soon as it is online and not leased: iocloud node verification ${name}`,
      );
    }),
  );
  withCommonOptions(group.command('appeal <node> <verification>').description('appeal against a verdict, once'))
    .requiredOption('--reason <text>', 'why it is wrong')
    .action((reference: string, verificationId: string, options: CommonOptions & { reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { id: nodeId } = await findNode(client, reference);
        const body = { reason: options.reason };
        const one = await client.call('appealVerification', { params: { nodeId, verificationId }, body });
        show(one, () => verificationDetails(one));
      }),
    );
}

export function appealCommands(program: Command, terminal: Terminal): void {
  const group = program.command('appeal').description('appeals against verdicts on devices (for operators)');
  withCommonOptions(group.command('list').description('appeals that nobody has decided yet'))
    .option('--all', 'the decided ones too', false)
    .action((options: CommonOptions & { all: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const found = await collect(client.list('listAppeals', { open: !options.all }));
        show(found, () => (found.length === 0 ? 'no appeals' : found.map(verificationDetails).join('\n\n---\n\n')));
      }),
    );
  for (const [name, decision, help] of [
    ['accept', 'accepted', 'the verdict is void, and what it counted for is taken back'],
    ['reject', 'rejected', 'the verdict stands'],
  ] as const) {
    withCommonOptions(group.command(`${name} <verification>`).description(help))
      .requiredOption('--reason <text>', 'told to the supplier')
      .action((verificationId: string, options: CommonOptions & { reason: string }) =>
        run(terminal, options, async ({ client, show }) => {
          const body = { decision, reason: options.reason };
          const one = await client.call('decideAppeal', { params: { verificationId }, body });
          show(one, () => verificationDetails(one));
        }),
      );
  }
}
