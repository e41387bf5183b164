/**
 * Binds the route table to Express: authentication, permission, validation, errors, metrics. A handler is reached only
 * through here, with a caller that holds the route's permission.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type Access,
  api,
  type BodyOf,
  type ParamsOf,
  type Permission,
  type QueryOf,
  type ResponseOf,
  type Route,
  type TenantId,
  type UserId,
} from '@iocloud/contracts';
import express, { type NextFunction, type Request, type Response } from 'express';
import type { z } from 'zod';
import { currentIds, withIds } from '../context.js';
import type { Logger } from '../log.js';
import { Failure, toProblem } from './failure.js';
import { countCall, countStray, countUpgrade } from './metrics.js';

/** Who calls: a tenant's user with what this key may do. */
export interface Caller {
  tenantId: TenantId;
  userId: UserId;
  keyId: string;
  permissions: ReadonlySet<Permission>;
}

export interface Call<R extends Route> {
  route: R;
  caller: R['access'] extends 'public' ? null : Caller;
  params: ParamsOf<R>;
  query: QueryOf<R>;
  body: BodyOf<R>;
  /** The Idempotency-Key of the call with what it asks for, or null. */
  idempotency: { key: string; operation: string; requestHash: Buffer } | null;
  request: Request;
  response: Response;
}

export interface Upgrade<R extends Route> {
  caller: Caller;
  params: ParamsOf<R>;
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
}

/** Returns the answer's JSON value; a handler of a route without a JSON answer writes the response itself. */
export type Handler<R extends Route> = (call: Call<R>) => Promise<ResponseOf<R>>;
export type UpgradeHandler<R extends Route> = (upgrade: Upgrade<R>) => Promise<void>;

/** Throws Failure 'unauthenticated'. `cookies`: a browser's session will do. */
export type Authenticate = (request: IncomingMessage, options: { cookies: boolean }) => Promise<Caller>;

/** A call of a protected route that failed, whatever it failed by. */
export interface RefusedCall {
  /** The route's name in the table. */
  operation: string;
  method: string;
  /** The first parameter of the path, or empty. */
  target: string;
  code: Failure['code'];
  /** Null: nobody was made out. */
  caller: Caller | null;
  request: IncomingMessage;
}

const operationIds = new Map<Route, string>(Object.entries(api).map(([id, route]) => [route as Route, id]));
const jsonLimit = '8mb';

/** Express 5 path: `{name}` → `:name`, a last `/*` → `/{*rest}`, which matches the empty rest too. */
const expressPath = (path: string) => path.replace(/\{(\w+)\}/g, ':$1').replace(/\/\*$/, '/{*rest}');
const pathPattern = (path: string) =>
  new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)').replace(/\/\*$/, '/.*')}$`);

export class Http {
  readonly app = express();
  readonly server: Server;
  readonly #upgrades: { pattern: RegExp; route: Route; handler: UpgradeHandler<Route> }[] = [];
  readonly #bound = new Set<Route>();

  constructor(
    readonly authenticate: Authenticate,
    readonly log: Logger,
    /** Hears of each failed call of a protected route. */
    readonly onRefused: (call: RefusedCall) => void = () => undefined,
  ) {
    this.app.disable('x-powered-by');
    this.app.set('etag', false);
    this.app.set('case sensitive routing', true);
    // `/api/jobs` is not `/api/jobs/`: a Ray head answers 404 to the former.
    this.app.set('strict routing', true);
    this.server = createServer((request, response) => {
      const request_id = requestIdOf(request);
      response.setHeader('X-Request-Id', request_id);
      withIds({ request_id }, () => this.app(request, response));
    });
    this.server.on(
      'upgrade',
      (request, socket, head) =>
        void withIds({ request_id: requestIdOf(request) }, () => this.#upgrade(request, socket, head)),
    );
    // Package uploads and log streams may take long; headers may not.
    this.server.requestTimeout = 0;
    this.server.headersTimeout = 30_000;
    this.server.keepAliveTimeout = 65_000;
  }

  /** Binds one route of the table. */
  handle<R extends Route>(route: R, handler: Handler<R>): void {
    this.#bound.add(route);
    const operation = operationIds.get(route) ?? route.path;
    const parseJson = route.body ? [express.json({ limit: jsonLimit, strict: false, type: () => true })] : [];
    const run = async (request: Request, response: Response) => {
      const result = await handler(await this.#call(route, operation, request, response));
      if (route.response && !response.headersSent) response.status(route.status).json(result);
    };
    this.app[route.method](
      expressPath(route.path),
      (request: Request, response: Response, next: NextFunction) => {
        countCall({ route, operation, method: request.method }, response);
        // The caller is known before a byte of the body is read.
        this.#identify(route, request)
          .then(caller => {
            response.locals.caller = caller;
            permit(route, caller, request);
            next();
          })
          .catch(next);
      },
      ...parseJson,
      run,
      (error: unknown, request: Request, response: Response, _next: NextFunction) =>
        this.#fail(route, error, request, response),
    );
  }

  /** Binds the WebSocket side of a route. */
  handleUpgrade<R extends Route>(route: R, handler: UpgradeHandler<R>): void {
    this.#bound.add(route);
    this.#upgrades.push({
      pattern: pathPattern(route.path),
      route,
      handler: handler as unknown as UpgradeHandler<Route>,
    });
  }

  /** To be called once all is bound: refuses to run with a route in the table that nothing answers. */
  seal(): void {
    const missing = Object.values<Route>(api).filter(route => !this.#bound.has(route));
    if (missing.length > 0) throw new Error(`no handler for ${missing.map(route => route.path).join(', ')}`);
    this.app.use((request, response) => {
      countStray(request.method, response);
      const failure = new Failure('not-found', `nothing is at ${request.method} ${request.path}; see /docs/`);
      // Ray's clients read text; they are the ones under /api/.
      if (request.path.startsWith('/api/')) response.status(404).type('text/plain').send('404: Not Found');
      else response.status(404).type('application/problem+json').send(toProblem(failure, randomUUID()));
    });
  }

  async #identify(route: Route, request: IncomingMessage): Promise<Caller | null> {
    return route.access === 'public' ? null : this.authenticate(request, { cookies: route.session ?? false });
  }

  async #call<R extends Route>(route: R, operation: string, request: Request, response: Response): Promise<Call<R>> {
    const body = route.body ? validated(route.body, request.body, 'body') : undefined;
    const key = route.idempotent ? request.get('idempotency-key') : undefined;
    if (key !== undefined && (key.length === 0 || key.length > 255)) {
      throw new Failure('bad-request', 'Idempotency-Key must have 1 to 255 characters');
    }
    return {
      route,
      caller: response.locals.caller,
      params: (route.params ? validated(route.params, request.params, 'path') : undefined) as ParamsOf<R>,
      query: (route.query ? validated(route.query, request.query, 'query') : undefined) as QueryOf<R>,
      body: body as BodyOf<R>,
      idempotency:
        key === undefined
          ? null
          : {
              key,
              operation,
              requestHash: createHash('sha256')
                .update(JSON.stringify([request.path, request.body]))
                .digest(),
            },
      request,
      response,
    };
  }

  #fail(route: Route, error: unknown, request: Request, response: Response): void {
    const instance = currentIds().request_id ?? randomUUID();
    const failure = toFailure(error);
    if (failure.code === 'internal') this.log.error({ err: error, instance, path: route.path }, 'a call failed');
    this.#tellRefused(route, failure, request, request.params, response.locals.caller ?? null);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (failure.code === 'unauthenticated') response.set('WWW-Authenticate', 'Bearer');
    // What is left of a refused body is not read: the connection cannot be used again.
    if (!request.complete) response.set('Connection', 'close');
    if (route.ray) response.status(failure.status).type('text/plain').send(failure.detail);
    else response.status(failure.status).type('application/problem+json').send(toProblem(failure, instance));
  }

  #tellRefused(
    route: Route,
    { code }: Failure,
    request: IncomingMessage,
    params: Record<string, string | string[]>,
    caller: Caller | null,
  ): void {
    if (route.access === 'public') return;
    const [target = ''] = Object.values(params);
    const operation = operationIds.get(route) ?? route.path;
    this.onRefused({ operation, method: request.method ?? '', target: String(target), code, caller, request });
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', error => this.log.debug({ error: error.message }, 'a WebSocket broke'));
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const bound = this.#upgrades.find(({ pattern }) => pattern.test(path));
    let caller: Caller | null = null;
    const ended =
      bound &&
      countUpgrade(
        {
          route: bound.route,
          operation: operationIds.get(bound.route) ?? bound.route.path,
          method: request.method,
        },
        socket,
      );
    try {
      if (!bound) throw new Failure('not-found', `nothing is at ${path}`);
      const { pattern, route, handler } = bound;
      caller = await this.#identify(route, request);
      if (!caller) throw new Failure('unauthenticated', 'no public WebSocket exists');
      permit(route, caller, request);
      const decoded = Object.fromEntries(
        Object.entries(pattern.exec(path)?.groups ?? {}).map(([name, text]) => [name, decodeURIComponent(text)]),
      );
      const params = route.params ? validated(route.params, decoded, 'path') : undefined;
      await handler({ caller, params: params as ParamsOf<Route>, request, socket, head });
      ended?.(101);
    } catch (error) {
      const failure = toFailure(error);
      ended?.(failure.status);
      if (bound) this.#tellRefused(bound.route, failure, request, bound.pattern.exec(path)?.groups ?? {}, caller);
      if (failure.code === 'internal') this.log.error({ err: error, path }, 'an upgrade failed');
      socket.end(
        `HTTP/1.1 ${failure.status} ${failure.code}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(failure.detail)}\r\nConnection: close\r\n\r\n${failure.detail}`,
      );
    }
  }
}

/** The caller's own, where it is one that can stand in a log. */
function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{8,128}$/.test(given) ? given : randomUUID();
}

function permit(route: Route, caller: Caller | null, request: IncomingMessage): void {
  if (caller === null) return;
  const needed = neededPermission(route, request.method ?? 'GET');
  if (needed !== 'authenticated' && !caller.permissions.has(needed)) {
    throw new Failure('permission-denied', `this key lacks the permission ${needed}`);
  }
}

/** The dashboard path carries a whole API: changing calls need the right to run jobs there. */
export function neededPermission(route: Route, method: string): Exclude<Access, 'public'> {
  if (route.access === 'public') throw new Error('a public route needs no permission');
  if ((route as Route) === (api.clusterDashboard as Route) && !['GET', 'HEAD', 'OPTIONS'].includes(method))
    return 'jobs:write';
  return route.access;
}

function validated(schema: z.ZodType, value: unknown, place: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(issue => ({ path: [place, ...issue.path].join('.'), message: issue.message }));
  const first = errors[0];
  throw new Failure('bad-request', `${first?.path}: ${first?.message}`, errors);
}

function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  // body-parser's and express's own errors carry a status and a type.
  if (error instanceof Error && 'status' in error && typeof error.status === 'number' && error.status < 500) {
    if (error.status === 413) return new Failure('payload-too-large', `the body is larger than ${jsonLimit}`);
    return new Failure('bad-request', `the request cannot be read: ${error.message}`);
  }
  return new Failure('internal', 'the server failed on this call; its log has the cause under this instance id');
}
