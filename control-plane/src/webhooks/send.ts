/** One attempt to send a message: one connection, no redirects, a bounded answer in a bounded time. */
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { isIP } from 'node:net';
import { type Destinations, hostOf, RefusedAddress } from '../platform/index.js';

export interface Message {
  id: string;
  url: string;
  body: string;
  headers: Record<string, string>;
}

export interface Outcome {
  /** Null: there was no answer. */
  status: number | null;
  /** Null: it arrived. Never what the receiver wrote: it could be anything. */
  error: string | null;
  /** How long the receiver asks to be left alone. */
  retryAfterMs: number | null;
  durationMs: number;
}

const timeoutMs = 10_000;
const answerBytes = 16_384;

/** Resolves whatever happens; rejects only when it is told to end (`ending`), as then nothing is known. */
export async function send(
  message: Message,
  destinations: Destinations,
  ending: AbortSignal,
  clockMs: () => number,
  limitMs = timeoutMs,
): Promise<Outcome> {
  const started = clockMs();
  const took = () => Math.round(clockMs() - started);
  try {
    const { status, retryAfter } = await post(
      message,
      destinations,
      AbortSignal.any([ending, AbortSignal.timeout(limitMs)]),
    );
    const arrived = status >= 200 && status < 300;
    const error = arrived
      ? null
      : status >= 300 && status < 400
        ? `answered ${status}: redirects are not followed`
        : `answered ${status}`;
    return { status, error, retryAfterMs: retryAfterOf(status, retryAfter), durationMs: took() };
  } catch (error) {
    if (ending.aborted) throw error;
    return { status: null, error: wordsOf(error, limitMs), retryAfterMs: null, durationMs: took() };
  }
}

function post(
  { url: address, body, headers }: Message,
  destinations: Destinations,
  signal: AbortSignal,
): Promise<{ status: number; retryAfter: string | undefined }> {
  const url = new URL(address);
  destinations.demandUrl(url);
  const isTls = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const call = (isTls ? tlsRequest : plainRequest)(url, {
      method: 'POST',
      headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
      // A connection for each attempt: what is kept open was checked for another name.
      agent: false,
      signal,
      ...(isIP(hostOf(url)) ? {} : { lookup: destinations.lookup(isTls) }),
    });
    call.on('error', reject);
    call.on('response', response => {
      const { statusCode: status = 0, headers: answered } = response;
      let bytes = 0;
      const done = () => resolve({ status, retryAfter: answered['retry-after'] });
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= answerBytes) return;
        done();
        call.destroy();
      });
      response.on('error', reject);
      response.on('end', done);
    });
    call.end(body);
  });
}

function retryAfterOf(status: number, retryAfter: string | undefined): number | null {
  if (![429, 503].includes(status) || !/^\d{1,6}$/.test(retryAfter ?? '')) return null;
  return Number(retryAfter) * 1_000;
}

function wordsOf(error: unknown, limitMs: number): string {
  if (error instanceof RefusedAddress) return error.message;
  const { name = '', code = '' } = error as { name?: string; code?: string };
  if (['TimeoutError', 'AbortError'].includes(name)) return `no answer within ${limitMs / 1_000} s`;
  return code ? `no connection (${code})` : 'no connection';
}
