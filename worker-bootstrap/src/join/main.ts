#!/usr/bin/env node
/** The program that install.sh starts: see `usage`. */
import { homedir } from 'node:os';
import { joinControlPlane, surroundings } from './join.js';
import { JoinFault, parseOptions, usage } from './options.js';

async function main(args: string[]): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  const world = surroundings();
  await joinControlPlane(parseOptions(args, { isRoot: world.isRoot, home: homedir() }), world);
}

main(process.argv.slice(2)).catch((error: Error) => {
  // What is expected has a sentence for whoever reads it; anything else is a fault of ours, with all that is known of it.
  process.stderr.write(
    `\niocloud: ${error instanceof JoinFault || error.name === 'SetupError' ? error.message : error.stack}\n`,
  );
  process.exitCode = 1;
});
