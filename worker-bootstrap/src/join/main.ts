#!/usr/bin/env node
/** The program that install.sh and npx start: see `usage`. */
import { homedir } from 'node:os';
import { joinControlPlane, surroundings } from './join.js';
import { JoinFault, parseOptions, usage } from './options.js';
import { jsonLines } from './reporting.js';

async function main(args: string[]): Promise<void> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  const isRoot = process.getuid?.() === 0;
  const options = parseOptions(args, { isRoot, home: homedir() });
  const lines = options.json ? jsonLines(process.stdout) : null;
  try {
    await joinControlPlane(options, surroundings(isRoot, lines?.tell));
  } catch (error) {
    lines?.tell({ event: 'failed', message: wordsOf(error as Error) });
    throw error;
  } finally {
    lines?.end();
  }
}

/** What is expected has a sentence for whoever reads it; anything else is a fault of ours, with all that is known of it. */
const wordsOf = (error: Error): string =>
  error instanceof JoinFault || error.name === 'SetupError' ? error.message : String(error.stack);

main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`\niocloud: ${wordsOf(error)}\n`);
  process.exitCode = 1;
});
