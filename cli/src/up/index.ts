/** `iocloud up` and `iocloud down`: the whole system on one machine. */
import type { Command } from 'commander';

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
}
