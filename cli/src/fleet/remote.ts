/** One ssh: the script goes in, reports come out, and in the end the reason why it has ended. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type JoinReport, joinReport } from '@iocloud/contracts';
import { CliError } from '../commands/exit.js';

const longestLine = 65_536;
const longestWords = 16_384;

export interface RemoteRun {
  /** What the machine says, one after the other; ends with the connection. */
  reports: AsyncIterable<JoinReport>;
  ended: Promise<{ code: number | null; stderr: string }>;
}

/** `signal` ends it. Throws CliError where there is no ssh. */
export function runRemote(
  words: readonly string[],
  script: string,
  env: Record<string, string | undefined>,
  signal: AbortSignal,
): RemoteRun {
  // Out of the terminal's reach: Ctrl-C is ours to hand on, and nothing may be asked there.
  const child = spawn('ssh', words, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const end = () => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  child.stdin.on('error', () => undefined); // it has ended before it read all: its exit says why
  child.stdin.end(script);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = `${stderr}${chunk.toString()}`.slice(-longestWords);
  });
  const failed = once(child, 'error').then(([error]) => {
    throw new CliError('usage', `cannot run ssh (${(error as Error).message}): install the OpenSSH client`);
  });
  const ended = Promise.race([once(child, 'close'), failed])
    .then(([code]) => ({ code: code as number | null, stderr }))
    .finally(() => signal.removeEventListener('abort', end));
  ended.catch(() => undefined); // whoever waits for it hears of it
  return { reports: reportsIn(child.stdout), ended };
}

/** A machine may print what it likes besides, and as much as it likes. */
export async function* reportsIn(output: AsyncIterable<Buffer>): AsyncGenerator<JoinReport> {
  let rest = '';
  for await (const chunk of output) {
    const lines = `${rest}${chunk.toString()}`.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > longestLine) rest = '';
    for (const line of lines) {
      const report = line.startsWith('{') ? joinReport.safeParse(parseJson(line)) : null;
      if (report?.success) yield report.data;
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
