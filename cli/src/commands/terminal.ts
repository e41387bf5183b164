/** What a command may touch of its surroundings; tests give their own. */
import { once } from 'node:events';
import { Writable } from 'node:stream';
import type { Environment } from './credentials.js';
import { CliError } from './exit.js';

export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** To standard output as it is; resolves when there is room for more. */
  write(bytes: Buffer): Promise<void>;
  environment: Environment;
  now(): number;
  /** A person is there to be asked and to see progress. */
  interactive: boolean;
  /** Asks for a secret without showing it. */
  askSecret(question: string): Promise<string>;
  ask(question: string): Promise<string>;
  readInput(): Promise<string>;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  /** The code with which the process ends once all is written. */
  setExitCode(code: number): void;
  /** Ends the process now. */
  exit(code: number): never;
  pause(ms: number): Promise<void>;
}

const longestInputBytes = 1_048_576;

export function processTerminal(): Terminal {
  const interrupt = new AbortController();
  let listening = false;
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    write: async bytes => {
      if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
    },
    environment: process.env,
    now: Date.now,
    interactive: Boolean(process.stdin.isTTY && process.stderr.isTTY),
    askSecret: question => prompt(question, true),
    ask: question => prompt(question, false),
    readInput,
    get signal() {
      // Only a command that looks at it takes Ctrl-C over.
      if (!listening) {
        listening = true;
        process.once('SIGINT', () => interrupt.abort());
      }
      return interrupt.signal;
    },
    setExitCode: code => {
      process.exitCode = code;
    },
    exit: code => process.exit(code),
    pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
  };
}

async function prompt(question: string, hidden: boolean): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  process.stderr.write(question);
  // readline echoes to its output: a hidden answer gets one that shows nothing.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: hidden ? silent : process.stderr, terminal: true });
  const interrupt = new AbortController();
  lines.on('SIGINT', () => interrupt.abort());
  lines.on('close', () => interrupt.abort());
  try {
    return (await lines.question('', { signal: interrupt.signal })).trim();
  } catch {
    throw new CliError('interrupted', 'interrupted');
  } finally {
    lines.close();
    if (hidden) process.stderr.write('\n');
  }
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    chunks.push(bytes);
    size += bytes.length;
    if (size > longestInputBytes) throw new CliError('usage', 'standard input is larger than 1 MiB');
  }
  return Buffer.concat(chunks).toString('utf8').trim();
}
