/** Following a job's log over the WebSocket that Ray's own client uses. */
import type { IncomingMessage } from 'node:http';
import type { Client } from '../client.js';
import { CliError, exitOfStatus } from './exit.js';

const normalClosure = 1000;
const reconnectPauseMs = 500;
const attemptsBeforeGivingUp = 40;

export interface FollowLogOptions {
  signal: AbortSignal;
  pause(ms: number): Promise<void>;
  /** Resolves when there is room for more: the server is held back until then. */
  write(bytes: Buffer): Promise<void>;
}

/**
 * Writes the log until the job has ended. The server begins each connection at the start of the log, so after a broken
 * one as many bytes are passed over as were written: every line comes out once. Gives up after 20 s without connection.
 */
export async function followJobLog(client: Client, submissionId: string, options: FollowLogOptions): Promise<void> {
  const { url, headers } = await client.webSocket('rayTailJobLogs', { submissionId });
  let written = 0;
  let failures = 0;
  for (;;) {
    let toSkip = written;
    const ended = await receive(url, headers, options.signal, async chunk => {
      failures = 0;
      const rest = chunk.subarray(Math.min(toSkip, chunk.length));
      toSkip -= chunk.length - rest.length;
      written += rest.length;
      if (rest.length > 0) await options.write(rest);
    });
    if (options.signal.aborted) throw new CliError('interrupted', 'no longer following; the job goes on');
    if (ended === 'complete') return;
    failures += 1;
    if (failures >= attemptsBeforeGivingUp) {
      throw new CliError('unreachable', `the log of ${submissionId} broke off: ${client.address} does not answer`);
    }
    await options.pause(reconnectPauseMs);
  }
}

/** One connection. Throws CliError when the server refuses it for good. */
async function receive(
  url: string,
  headers: Record<string, string>,
  signal: AbortSignal,
  take: (chunk: Buffer) => Promise<void>,
): Promise<'complete' | 'broken'> {
  const { WebSocket } = await import('ws');
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers, handshakeTimeout: 30_000 });
    const abort = () => socket.terminate();
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    // 'close' follows every 'error'.
    socket.on('error', () => undefined);
    socket.on('unexpected-response', (_request, response) => {
      readRefusal(response).then(refusal => {
        if (refusal) reject(refusal);
        socket.terminate();
      }, reject);
    });
    let writing = Promise.resolve();
    socket.on('message', (data: Buffer) => {
      socket.pause();
      writing = writing.then(() => take(data)).finally(() => socket.resume());
      writing.catch(error => {
        reject(error);
        socket.terminate();
      });
    });
    socket.on('close', code => {
      signal.removeEventListener('abort', abort);
      writing.then(() => resolve(code === normalClosure ? 'complete' : 'broken'), reject);
    });
  });
}

/** Null when it may be tried again: the control plane is starting, or a proxy before it answers for it. */
async function readRefusal(response: IncomingMessage): Promise<CliError | null> {
  const status = response.statusCode ?? 0;
  let text = '';
  for await (const chunk of response) text += String(chunk);
  if (status >= 500) return null;
  const lastLine = text.trim().split('\n').at(-1);
  if (status === 401)
    return new CliError('unauthenticated', `${lastLine || 'no valid API key'}: run \`iocloud login\``);
  return new CliError(exitOfStatus(status), lastLine || `the log was refused with status ${status}`);
}
