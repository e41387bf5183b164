/** The frame around every command: its common options, its client, its one-line errors and exit codes. */
import { type Command, InvalidArgumentError } from 'commander';
import { Client } from '../client.js';
import { plain } from '../output.js';
import { resolveCredentials } from './credentials.js';
import { CliError, exitCodes } from './exit.js';
import type { Terminal } from './terminal.js';

export interface CommonOptions {
  address?: string;
  json?: boolean;
}

export interface Context {
  terminal: Terminal;
  client: Client;
  json: boolean;
  /** Prints the value for programs, or what `words` makes of it for people. */
  show(value: unknown, words: () => string): void;
  /** To people who wait; silent with --json. */
  progress(line: string): void;
}

export function withCommonOptions(command: Command): Command {
  return command
    .option('--address <url>', 'the control plane (else IOCLOUD_ADDRESS, `iocloud login`, http://127.0.0.1:8265)')
    .option('--json', 'print JSON for programs');
}

/** Runs the body of a command and turns what it throws into a line on standard error and an exit code. */
export async function run(
  terminal: Terminal,
  options: CommonOptions,
  body: (context: Context) => Promise<void>,
): Promise<void> {
  const json = options.json ?? false;
  try {
    const credentials = await resolveCredentials(options.address, terminal.environment);
    await body({
      terminal,
      json,
      client: new Client({ ...credentials, pause: terminal.pause }),
      show: (value, words) => terminal.out(`${json ? JSON.stringify(value, null, 2) : words()}\n`),
      progress: line => {
        if (!json) terminal.err(`${plain(line)}\n`);
      },
    });
  } catch (error) {
    fail(terminal, json, error);
  }
}

export function fail(terminal: Terminal, json: boolean, error: unknown): void {
  const known = error instanceof CliError ? error : null;
  const exit = known?.exit ?? 'callFailed';
  const message = known ? known.message : `a fault in iocloud itself: ${String(error)}`;
  terminal.setExitCode(exitCodes[exit]);
  if (json) {
    terminal.err(
      `${JSON.stringify({ error: { exit, message, ...(known?.problem ? { problem: known.problem } : {}) } })}\n`,
    );
    return;
  }
  terminal.err(`iocloud: ${plain(message)}\n`);
  if (!known && terminal.environment.IOCLOUD_TEST_TRACE && error instanceof Error) terminal.err(`${error.stack}\n`);
}

/** For commander: a parser that throws CliError 'usage' becomes one that commander words. */
export function argument<T>(parse: (text: string) => T): (text: string) => T {
  return text => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}
