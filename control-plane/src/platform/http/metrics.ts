/** Rate, errors and duration of calls, by the names and templates of the route table. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Route } from '@iocloud/contracts';
import { counter, Durations, gauge, workBuckets } from '../metrics.js';

const requests = counter('iocloud_http_requests_total', 'Calls that have been answered', [
  'api',
  'operation',
  'method',
  'route',
  'code',
]);
const durations = new Durations(
  'iocloud_http_request_duration_seconds',
  'From the request to the end of its answer',
  ['api', 'operation'],
  workBuckets,
);
const inFlight = gauge('iocloud_http_requests_in_flight', 'Calls that are being answered', ['api']);
const websockets = gauge('iocloud_websockets_open', 'WebSockets that are open', ['operation']);

interface Called {
  route: Route;
  operation: string;
  method: string | undefined;
}

/** The caller left before there was an answer. */
const leftCode = 499;
/** A dashboard is called with any method; what is none of HTTP's has no series of its own. */
const known = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const count = ({ route, operation, method = '' }: Called, code: number) =>
  requests.inc({
    api: route.tag,
    operation,
    method: known.has(method) ? method : 'OTHER',
    route: route.path,
    code: String(code),
  });

export function countCall(called: Called, response: ServerResponse): void {
  const api = called.route.tag;
  const startedMs = performance.now();
  inFlight.inc({ api });
  response.once('close', () => {
    inFlight.dec({ api });
    count(called, response.headersSent ? response.statusCode : leftCode);
    durations.observe({ api, operation: called.operation }, (performance.now() - startedMs) / 1_000, traceOf(response));
  });
}

/** Trace of an answer, as it is told to the caller. */
function traceOf(response: ServerResponse): string | undefined {
  const [, traceId] = String(response.getHeader('traceparent') ?? '').split('-');
  return traceId;
}

/** To be called with a socket that shall become a WebSocket; returns what is to be told how that went. */
export function countUpgrade(called: Called, socket: Duplex): (code: number) => void {
  if (!socket.destroyed) {
    websockets.inc({ operation: called.operation });
    socket.once('close', () => websockets.dec({ operation: called.operation }));
  }
  return code => count(called, code);
}

const nowhere = { path: 'none', tag: 'platform' } as Route;

/** A path that is not in the table. */
export const countStray = (method: string | undefined, response: ServerResponse): void =>
  countCall({ route: nowhere, operation: 'none', method }, response);
