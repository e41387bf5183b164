/**
 * The way to a cluster's own dashboard and Jobs API: HTTP and WebSocket, streamed in both directions with back-pressure,
 * nothing kept. By hand on node:http, because which headers cross, and how a body is framed, is what the security of it
 * rests on.
 */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ClusterId } from '@iocloud/contracts';
import { Failure, type Logger } from '../../platform/index.js';
import type { Heads } from '../heads.js';
import { HeadUnavailable } from '../ports.js';
import { dashboardPath } from '../store.js';
import { headersForBrowser, headersForHead, isPlainHost } from './headers.js';

/** A body with these would be framed by nobody's rule, and read by the head as a request of its own. */
const bodyless = ['GET', 'HEAD', 'OPTIONS'];

interface Passage {
  clusterId: ClusterId;
  request: IncomingMessage;
  heads: Heads;
  log: Logger;
  /** Host and port by which browsers reach us. */
  host: string;
}

/** What the head is asked for: the request's path without our prefix. */
function upstreamPath({ clusterId, request }: Passage): string {
  const prefix = dashboardPath(clusterId);
  const url = request.url ?? '';
  // The router has matched decoded text; only the plain form is passed on, so that both ends read the same path.
  if (!url.startsWith(prefix)) throw new Failure('bad-request', `the path must begin with ${prefix} as it stands`);
  return `/${url.slice(prefix.length)}`;
}

async function reach({ clusterId, heads }: Passage): ReturnType<Heads['head']> {
  try {
    return await heads.head(clusterId);
  } catch (error) {
    throw asFailure(error);
  }
}

function asFailure(error: unknown): unknown {
  if (error instanceof Failure) return error;
  if (error instanceof HeadUnavailable)
    return new Failure('unavailable', `the cluster cannot be reached: ${error.message}`);
  const why = error instanceof Error ? error.message : String(error);
  return new Failure('unavailable', `the cluster’s head did not answer (${why}); try again`);
}

/** Resolves when the answer is through or the caller has gone. Throws Failure while nothing has been answered. */
export async function passHttp(passage: Passage, response: ServerResponse): Promise<void> {
  const { request, log, clusterId } = passage;
  const path = upstreamPath(passage);
  const method = request.method ?? 'GET';
  const host = checkedHost(passage.host);
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  if (hasBody && bodyless.includes(method))
    throw new Failure('bad-request', `a ${method} request carries no body here`);
  const { agent, host: headHost, headers: token } = await reach(passage);

  const headers = headersForHead(request.headers, token, false);
  const upstream = httpRequest({ agent, host: headHost, method, path, headers });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once('response', resolve);
    upstream.on('error', reject);
    upstream.once('close', () => reject(new Error('it closed the connection')));
  });
  response.once('close', () => upstream.destroy());
  // An answer may come before the body is through: the body's way must not take the caller's connection down with it.
  if (hasBody) request.pipe(upstream);
  else upstream.end();
  let answer: IncomingMessage;
  try {
    answer = await answered;
  } catch (error) {
    throw asFailure(error);
  }
  const place = { prefix: dashboardPath(clusterId), host, upstreamPath: path };
  response.writeHead(answer.statusCode ?? 502, headersForBrowser(answer.headers, place, headHost));
  // Log streams trickle: what there is goes out at once.
  response.flushHeaders();
  // A head that breaks off breaks our answer off too: a short answer must not look like a whole one.
  await pipeline(answer, response).catch((error: unknown) => {
    log.debug({ clusterId, error: String(error) }, 'a dashboard answer was broken off');
    response.destroy();
  });
}

/** Joins a WebSocket through to the head. Throws Failure while nothing has been answered. */
export async function passUpgrade(passage: Passage, socket: Duplex, first: Buffer): Promise<void> {
  const { request, log, clusterId } = passage;
  const path = upstreamPath(passage);
  const host = checkedHost(passage.host);
  if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
    throw new Failure('bad-request', 'only a WebSocket can be opened here');
  }
  const { agent, host: headHost, headers: token } = await reach(passage);
  const headers = headersForHead(request.headers, token, true);
  const upstream = httpRequest({ agent, host: headHost, path, headers });
  socket.once('close', () => upstream.destroy());
  const place = { prefix: dashboardPath(clusterId), host, upstreamPath: path };
  await new Promise<void>((resolve, reject) => {
    upstream.on('error', error => reject(asFailure(error)));
    upstream.once('close', () => reject(asFailure(new Error('it closed the connection'))));
    upstream.once('upgrade', (answer, far, farFirst) => {
      const { 'Content-Security-Policy': _, ...outgoing } = headersForBrowser(answer.headers, place, headHost);
      const lines = Object.entries({ ...outgoing, connection: 'Upgrade', upgrade: 'websocket' });
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\n${lines.map(([name, value]) => `${name}: ${String(value)}`).join('\r\n')}\r\n\r\n`,
      );
      if (farFirst.length > 0) socket.write(farFirst);
      if (first.length > 0) far.write(first);
      const end = () => {
        socket.destroy();
        far.destroy();
      };
      far.on('error', (error: Error) => {
        log.debug({ clusterId, error: error.message }, 'a WebSocket to a head broke');
        end();
      });
      far.once('close', end);
      socket.once('close', end);
      far.pipe(socket);
      socket.pipe(far);
      resolve();
    });
    upstream.once('response', answer => {
      // The head declines: its answer is passed on as it is, and the connection ends.
      const outgoing = { ...headersForBrowser(answer.headers, place, headHost), connection: 'close' };
      const lines = Object.entries(outgoing).filter(([name]) => name.toLowerCase() !== 'content-length');
      socket.write(
        `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.map(([name, value]) => `${name}: ${String(value)}`).join('\r\n')}\r\n\r\n`,
      );
      pipeline(answer, socket).then(resolve, reject);
    });
    upstream.end();
  });
}

function checkedHost(host: string): string {
  if (!isPlainHost(host)) throw new Failure('bad-request', 'the Host header is no host name');
  return host;
}
