/** `iocloud events` */
import type { Event } from '@iocloud/contracts';
import type { Command } from 'commander';
import { plain } from '../output.js';
import { followEvents } from './event-stream.js';
import { CliError } from './exit.js';
import { parseCount } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

interface EventOptions extends CommonOptions {
  follow?: boolean;
  subject?: string;
  limit: number;
  after?: number;
}

export function eventLine(event: Event): string {
  const sign = event.severity === 'warning' ? '!' : ' ';
  return plain(`${event.at.slice(0, 19)}Z ${sign} ${event.subject}  ${event.reason}: ${event.message}`);
}

export function eventCommands(program: Command, terminal: Terminal): void {
  withCommonOptions(program.command('events').description('what happened, oldest first'))
    .option('-f, --follow', 'go on with what happens')
    .option('--subject <id>', 'of one job, cluster, machine, user or key (its id)')
    .option('--limit <n>', 'the latest so many', argument(parseCount), 100)
    .option('--after <sequence>', 'only after this sequence number', argument(parseCount))
    .action((options: EventOptions) =>
      run(terminal, options, async ({ client, json }) => {
        const print = (event: Event) => terminal.out(`${json ? JSON.stringify(event) : eventLine(event)}\n`);
        const { subject } = options;
        let after = options.after ?? 0;
        let latest: Event[] = [];
        for await (const event of client.list('listEvents', { after, subject })) {
          latest.push(event);
          after = event.sequence;
          if (latest.length > 2 * options.limit) latest = latest.slice(-options.limit);
        }
        latest = options.limit === 0 ? [] : latest.slice(-options.limit);
        if (!options.follow) {
          if (json) terminal.out(`${JSON.stringify(latest, null, 2)}\n`);
          else if (latest.length === 0) terminal.out('nothing has happened yet\n');
          else for (const event of latest) print(event);
          return;
        }
        for (const event of latest) print(event);
        // From where the list ended, so that nothing falls between the two.
        const { signal, pause } = terminal;
        for await (const event of followEvents(client, { after, subject, signal, pause })) print(event);
        throw new CliError('interrupted', 'no longer following');
      }),
    );
}
