/** `iocloud audit`: calls that were refused. */
import type { Refusal } from '@iocloud/contracts';
import type { Command } from 'commander';
import { collect } from '../client.js';
import { table } from '../output.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

const why: Record<Refusal['outcome'], string> = {
  unauthenticated: 'no valid key',
  'permission-denied': 'no permission',
  'not-found': "another tenant's",
};
const who: Record<Refusal['by'], string> = {
  ours: 'a key of ours',
  others: "another tenant's key",
  unknown: 'nobody known',
};

export function refusalTable(refusals: readonly Refusal[]): string {
  if (refusals.length === 0) return 'nothing was refused in this time';
  return table(
    ['minute', 'calls', 'operation', 'target', 'refused for', 'by', 'from'],
    refusals.map(({ at, count, operation, target, outcome, by, keyId, address }) => [
      `${at.slice(0, 16)}Z`,
      String(count),
      operation,
      target ?? '-',
      why[outcome],
      keyId ?? who[by],
      address,
    ]),
  );
}

export function auditCommands(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program.command('audit').description('refused calls on what is yours or with your keys, newest first'),
  )
    .option('--since <time>', 'of so long', argument(parseSeconds), 86_400)
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & { since: number; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const since = new Date(terminal.now() - options.since * 1_000).toISOString();
        const refusals = await collect(client.list('listRefusals', { since }, options.limit));
        show(refusals, () => refusalTable(refusals));
      }),
    );
}
