/**
 * Requests to the API server over kept connections. Thin on purpose: objects pass as they are, and what the server says
 * of overload (429, Retry-After) is heeded here, once for all.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesObject, Manifest } from '../core/kubernetes-objects.js';
import { ApiError, isPassing } from './api-error.js';
import type { Connection } from './connection.js';
import { collectionPath, objectPath, type Resource } from './resources.js';

export type RequestObserver = (method: string, code: string) => void;

const requestTimeoutMs = 30_000;
/** The server sends a bookmark about each minute: a watch that is silent for longer hangs on a dead connection. */
const watchSilenceMs = 150_000;
const attempts = 4;

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Call {
  method: Method;
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  contentType?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface ProxiedCall extends Call {
  timeoutMs: number;
}

export interface ObjectList<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[];
}

export interface WatchStream extends AsyncIterable<string> {
  close(): void;
}

export class KubernetesClient {
  constructor(
    private readonly connection: Connection,
    private readonly observe: RequestObserver = () => undefined,
    private readonly userAgent = 'iocloud-ray-operator',
  ) {}

  get<T>(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
    return this.call<T>({ method: 'GET', path, query, signal });
  }

  create<T>(resource: Resource, manifest: Manifest, signal?: AbortSignal): Promise<T> {
    const path = collectionPath(resource, manifest.metadata.namespace);
    return this.call<T>({ method: 'POST', path, body: manifest, signal });
  }

  /** What is no object of a collection: a subresource that acts, as a token request. */
  post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return this.call<T>({ method: 'POST', path, body, signal });
  }

  replace<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return this.call<T>({ method: 'PUT', path, body, signal });
  }

  /** RFC 7386: what is named is set, what is null is removed. */
  merge<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return this.call<T>({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json', signal });
  }

  /** Server-side apply: makes the object, or brings the fields that we own to what the manifest says. */
  apply<T>(
    resource: Resource,
    manifest: Manifest,
    manager: string,
    subresource = '',
    signal?: AbortSignal,
  ): Promise<T> {
    const path = objectPath(resource, manifest.metadata.namespace, manifest.metadata.name) + subresource;
    const query = { fieldManager: manager, force: 'true' };
    return this.call<T>({
      method: 'PATCH',
      path,
      query,
      body: manifest,
      contentType: 'application/apply-patch+yaml',
      signal,
    });
  }

  /** Deletes this very object and none that has taken its name since. With `force`, no kubelet is waited for. */
  async delete(resource: Resource, object: KubernetesObject, signal?: AbortSignal, force = false): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const path = objectPath(resource, namespace, name);
    // What belongs to it goes, too: with Jobs that is not the default.
    const body = {
      preconditions: { uid },
      propagationPolicy: 'Background',
      ...(force ? { gracePeriodSeconds: 0 } : {}),
    };
    await this.call({ method: 'DELETE', path, body, signal });
  }

  /** What a server behind the API server's proxy answers, whatever its status. */
  async proxied(call: ProxiedCall): Promise<{ status: number; text: string }> {
    const response = await this.send(call, call.timeoutMs);
    const answer = { status: response.statusCode ?? 0, text: await text(response) };
    this.observe('PROXY', String(answer.status));
    return answer;
  }

  /** The lines of a watch as they come. */
  async watch(path: string, query: Record<string, string>, signal: AbortSignal): Promise<WatchStream> {
    const call: Call = { method: 'GET', path, query: { ...query, watch: 'true' }, signal };
    const response = await this.send(call, watchSilenceMs);
    this.observe('WATCH', String(response.statusCode));
    if (response.statusCode !== 200) throw errorOf(response, await text(response));
    return { [Symbol.asyncIterator]: () => lines(response), close: () => response.destroy() };
  }

  private async call<T>(call: Call): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.send(call, requestTimeoutMs);
        const body = await text(response);
        this.observe(call.method, String(response.statusCode));
        if ((response.statusCode ?? 0) >= 300) throw errorOf(response, body);
        return JSON.parse(body) as T;
      } catch (error) {
        if (call.signal?.aborted || !(error instanceof ApiError) || attempt >= attempts || !isRetried(error))
          throw error;
        await sleep(error.retryAfterMs ?? 100 * 2 ** attempt, undefined, call.signal ? { signal: call.signal } : {});
      }
    }
  }

  private async send(call: Call, timeoutMs: number): Promise<IncomingMessage> {
    const { server } = this.connection;
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const base = await this.connection.options();
    const query = new URLSearchParams(call.query).toString();
    const options: RequestOptions = {
      ...base,
      method: call.method,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port,
      path: server.pathname.replace(/\/$/, '') + call.path + (query ? `?${query}` : ''),
      headers: {
        ...base.headers,
        ...call.headers,
        accept: 'application/json',
        'user-agent': this.userAgent,
        ...(body === undefined
          ? {}
          : { 'content-type': call.contentType ?? 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
      ...(call.signal ? { signal: call.signal } : {}),
    };
    return new Promise((resolve, reject) => {
      const request = (server.protocol === 'http:' ? httpRequest : httpsRequest)(options, resolve);
      const fail = (error: Error) => {
        this.observe(call.method, '<error>');
        reject(new ApiError(0, 'NoAnswer', `${call.method} ${call.path}: ${error.message}`));
      };
      request.on('error', fail);
      request.setTimeout(timeoutMs, () => request.destroy(new Error(`nothing came for ${timeoutMs} ms`)));
      request.end(body);
    });
  }
}

/** An answer that never came is left to the caller: it may stand for something done. */
const isRetried = (error: ApiError) => isPassing(error) && error.status !== 0;

async function text(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let body = '';
  try {
    for await (const chunk of response) body += chunk;
  } catch (error) {
    throw new ApiError(0, 'NoAnswer', `the answer broke off: ${String(error)}`);
  }
  return body;
}

async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const chunk of response) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield part;
  }
}

function errorOf(response: IncomingMessage, body: string): ApiError {
  const status = response.statusCode ?? 0;
  const retryAfter = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(retryAfter) ? Math.min(retryAfter, 30) * 1000 : undefined;
  let said: { reason?: string; message?: string } = {};
  try {
    said = JSON.parse(body);
  } catch {
    said = { message: body.slice(0, 300) };
  }
  return new ApiError(status, said.reason ?? '', said.message ?? `HTTP ${status}`, retryAfterMs);
}
