/** `iocloud`: the command line. Commands load what they need when they run, so that `--help` is quick. */
import { Command } from 'commander';
import { registerCommands } from './commands/index.js';
import { registerUp } from './up/index.js';
import { LaunchError } from './up/settings.js';

const program = new Command('iocloud')
  .description('A control plane that turns machines anywhere into Ray clusters')
  .version('0.1.0');
registerCommands(program);
registerUp(program);

try {
  await program.parseAsync();
  process.exit(process.exitCode ?? 0);
} catch (error) {
  process.stderr.write(`iocloud: ${error instanceof LaunchError ? error.message : (error as Error).stack}\n`);
  process.exit(1);
}
