/** `iocloud events` */
import type { Event } from '@iocloud/contracts';
import { type Command, Option } from 'commander';
import { plain } from '../output.js';
import { followEvents } from './event-stream.js';
import { CliError } from './exit.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

interface EventOptions extends CommonOptions {
  follow?: boolean;
  subject?: string;
  kind?: string;
  reason?: string;
  severity?: string;
  since?: number;
  until?: number;
  grep?: string;
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
    .addOption(new Option('--kind <kind>', 'of what').choices(['job', 'cluster', 'node', 'account']))
    .option('--reason <word>', 'of one reason, such as JobFailed')
    .addOption(new Option('--severity <level>', 'at least so grave').choices(['info', 'warning', 'error']))
    .option('--since <time>', 'of so long, such as 2h', argument(parseSeconds))
    .option('--until <time>', 'up to so long ago', argument(parseSeconds))
    .option('--grep <text>', 'with this text in reason or message, in any case')
    .option('--limit <n>', 'the latest so many', argument(parseCount), 100)
    .option('--after <sequence>', 'only after this sequence number', argument(parseCount))
    .action((options: EventOptions) =>
      run(terminal, options, async ({ client, json }) => {
        const print = (event: Event) => terminal.out(`${json ? JSON.stringify(event) : eventLine(event)}\n`);
        const { subject, kind, reason, severity } = options;
        const ago = (seconds: number | undefined) =>
          seconds === undefined ? undefined : new Date(terminal.now() - seconds * 1_000).toISOString();
        const search = {
          kind,
          reason,
          severity,
          since: ago(options.since),
          until: ago(options.until),
          text: options.grep,
        };
        const isNarrowed = Object.values(search).some(value => value !== undefined);
        if (options.follow && isNarrowed) throw new CliError('usage', '--follow goes with --subject and --after alone');
        let after = options.after ?? 0;
        let latest: Event[] = [];
        for await (const event of client.list('listEvents', { after, subject, ...search })) {
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
