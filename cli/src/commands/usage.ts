/** `iocloud usage`: what was used, by cluster, job or day, and the lines that it comes of. */
import type { UsageGrouping } from '@iocloud/contracts';
import { type Command, Option } from 'commander';
import { collect } from '../client.js';
import { CliError } from './exit.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';
import { usageLinesTable, usageTable } from './usage-render.js';

/** A day counts from its beginning in UTC. */
function parseTime(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new CliError('usage', `"${text}" is no time; write 2026-11-27 or 2026-11-27T10:00Z`);
  return time.toISOString();
}

interface Wanted {
  by: UsageGrouping;
  from?: string;
  until?: string;
}

export function usageCommands(program: Command, terminal: Terminal): void {
  const usage = program.command('usage').description('what you have used, from windows that are closed');
  withCommonOptions(usage.command('show', { isDefault: true }).description('sums by cluster, job or day'))
    .addOption(new Option('--by <what>', 'what is summed up').choices(['cluster', 'job', 'day']).default('cluster'))
    .option('--from <time>', 'windows that begin then or later; by default 30 days ago', argument(parseTime))
    .option('--until <time>', 'windows that begin before', argument(parseTime))
    .action((options: CommonOptions & Wanted) =>
      run(terminal, options, async ({ client, show }) => {
        const { by, from, until } = options;
        const { items } = await client.call('sumUsage', { query: { by, from, until } });
        show(items, () => usageTable(by, items));
      }),
    );
  withCommonOptions(
    usage.command('lines').description('the lines, with corrections, in the order in which they were written'),
  )
    .option('--cluster <id>', 'of this cluster')
    .option('--after <id>', 'from the line after this one on')
    .option('--limit <n>', 'at most so many', argument(parseCount), 100)
    .action((options: CommonOptions & { cluster?: string; after?: string; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const query = { clusterId: options.cluster, after: options.after, limit: Math.min(options.limit, 1_000) };
        const lines = await collect(client.list('listUsageLines', query, options.limit));
        show(lines, () => usageLinesTable(lines));
      }),
    );
  withCommonOptions(usage.command('export').description('the lines as CloudEvents, one JSON object a line'))
    .option('--after <id>', 'from the line after this one on')
    .option('--limit <n>', 'at most so many', argument(parseCount), 1_000)
    .action((options: CommonOptions & { after?: string; limit: number }) =>
      run(terminal, options, async ({ client, show }) => {
        const query = { after: options.after, limit: Math.min(options.limit, 1_000) };
        const events = await collect(client.list('exportUsageEvents', query, options.limit));
        show(events, () => events.map(event => JSON.stringify(event)).join('\n'));
      }),
    );
}
