/** `iocloud up`, `iocloud down` and `iocloud observe`: the whole system on one machine. */
import { type Command, InvalidArgumentError } from 'commander';
import type { ObserveOptions } from './observe.js';

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run the whole system on this machine until Ctrl-C')
    .option('--no-self-check', 'do not run a first Ray job')
    .option('--json', 'print one JSON line when ready', false)
    .action(async (options: { selfCheck: boolean; json: boolean }) => {
      const [{ up }, { parseSettings }] = await Promise.all([import('./up.js'), import('./settings.js')]);
      await up(parseSettings(process.env), options);
    });
  program
    .command('down')
    .description('stop a system that `iocloud up` runs, or what one that was killed has left')
    .action(async () => {
      const [{ down }, { parseSettings }] = await Promise.all([import('./down.js'), import('./settings.js')]);
      await down(parseSettings(process.env));
    });
  program
    .command('observe')
    .description(
      'run a Prometheus with the rules and alerts of dashboards/rules beside the running system until Ctrl-C',
    )
    .option('--port <port>', 'where it listens on 127.0.0.1; 0: any free port', wholeNumber(0, 65_535), 9090)
    .option('--prometheus <program>', 'the server itself, when it is not on the PATH')
    .option('--rules <files>', 'other rule files, a path or glob')
    .option('--scrape-seconds <n>', 'time between two readings', wholeNumber(1, 600), 15)
    .option('--retention <time>', 'how long what was read is kept (at most 2 GB), such as 24h or 7d', '7d')
    .option('--json', 'print one JSON line when ready', false)
    .action(async (options: ObserveOptions) => {
      const [{ observe }, { parseSettings }] = await Promise.all([import('./observe.js'), import('./settings.js')]);
      await observe(parseSettings(process.env), options);
    });
}

const wholeNumber = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  }
  return value;
};
