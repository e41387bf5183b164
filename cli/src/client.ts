/** Calls the control plane by the route table; checks what comes back against the contracts. */
import type { api as Api, OperationId, Problem, ResponseOf, Route } from '@iocloud/contracts';
import { CliError, exitOfStatus } from './commands/exit.js';

export interface CallArguments {
  params?: Record<string, string>;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** Makes a POST safe to repeat: it is then tried again when the connection breaks. */
  idempotencyKey?: string;
}

type Answer<Id extends OperationId> = ResponseOf<(typeof Api)[Id]>;
type ListId = { [Id in OperationId]: Answer<Id> extends { next: string | null } ? Id : never }[OperationId];
type Item<Id extends ListId> = Answer<Id> extends { items: (infer T)[] } ? T : never;

export interface ClientOptions {
  address: string;
  apiKey: string | null;
  fetch?: typeof fetch;
  /** Resolves after so many milliseconds. */
  pause?: (ms: number) => Promise<void>;
  signal?: AbortSignal;
  /** Of one attempt, in milliseconds. */
  timeoutMs?: number;
}

const pausesMs = [200, 400, 800, 1_600];
const retriedStatuses = new Set([429, 502, 503, 504]);
const longestErrorCharacters = 2_000;
/** Loaded at the first call: the schemas cost more start-up time than all else that `--help` needs. */
const contracts = () => import('@iocloud/contracts');

export class Client {
  readonly address: string;
  readonly #options: Required<Omit<ClientOptions, 'signal'>> & { signal: AbortSignal | undefined };

  constructor(options: ClientOptions) {
    this.address = options.address;
    this.#options = {
      fetch: (input, init) => fetch(input, init),
      pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
      timeoutMs: 60_000,
      signal: undefined,
      ...options,
    };
  }

  /** One call. Throws CliError. */
  async call<Id extends OperationId>(id: Id, args: CallArguments = {}): Promise<Answer<Id>> {
    const { api } = await contracts();
    const route: Route = api[id];
    if (route.body) refuseBadBody(route, args.body);
    const response = await this.#send(route, args, this.#options.timeoutMs);
    const text = await response.text().catch((error: unknown) => this.#unreachable(error));
    if (!route.response) return undefined as Answer<Id>;
    const parsed = route.response.safeParse(parseJson(text));
    if (!parsed.success) {
      const place = parsed.error.issues[0]?.path.join('.') || 'the body';
      throw new CliError(
        'callFailed',
        `${this.address} answered ${route.path} in a form that this iocloud does not know (${place}): are both of one release?`,
      );
    }
    return parsed.data as Answer<Id>;
  }

  /** The items of a list, page after page, at most so many. */
  async *list<Id extends ListId>(
    id: Id,
    query: NonNullable<CallArguments['query']> = {},
    atMost = Number.POSITIVE_INFINITY,
    params: NonNullable<CallArguments['params']> = {},
  ): AsyncGenerator<Item<Id>> {
    let after: string | undefined;
    let given = 0;
    do {
      const page = (await this.call(id, { params, query: { limit: 1000, ...query, ...(after ? { after } : {}) } })) as {
        items: Item<Id>[];
        next: string | null;
      };
      for (const item of page.items) {
        if (given >= atMost) return;
        given += 1;
        yield item;
      }
      after = page.next ?? undefined;
    } while (after !== undefined && given < atMost);
  }

  /** An answer that is read as it comes; the caller's signal ends it. One attempt, no time limit. */
  async stream(
    id: OperationId,
    args: CallArguments & { headers?: Record<string, string> },
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const { api } = await contracts();
    const response = await this.#once(api[id], args, signal).catch((error: unknown) => this.#unreachable(error));
    if (!response.ok) throw await this.#toError(api[id], response);
    if (!response.body) throw new CliError('callFailed', `${this.address} sent an empty stream`);
    return response.body;
  }

  /** For the WebSocket of a route. */
  async webSocket(
    id: OperationId,
    params: Record<string, string>,
  ): Promise<{ url: string; headers: Record<string, string> }> {
    const { api } = await contracts();
    return { url: this.#url(api[id], { params }).replace(/^http/, 'ws'), headers: this.#headers() };
  }

  async #send(route: Route, args: CallArguments, timeoutMs: number): Promise<Response> {
    const repeatable = route.method !== 'post' || args.idempotencyKey !== undefined;
    for (let attempt = 0; ; attempt += 1) {
      const pauseMs = repeatable ? pausesMs[attempt] : undefined;
      try {
        const timeout = AbortSignal.timeout(timeoutMs);
        const { signal } = this.#options;
        const response = await this.#once(route, args, signal ? AbortSignal.any([signal, timeout]) : timeout);
        if (response.ok) return response;
        if (pauseMs === undefined || !retriedStatuses.has(response.status)) throw await this.#toError(route, response);
        await response.body?.cancel();
      } catch (error) {
        if (error instanceof CliError || pauseMs === undefined || this.#options.signal?.aborted) {
          this.#unreachable(error);
        }
      }
      await this.#options.pause(pauseMs);
    }
  }

  #once(route: Route, args: CallArguments & { headers?: Record<string, string> }, signal: AbortSignal) {
    return this.#options.fetch(this.#url(route, args), {
      method: route.method.toUpperCase(),
      headers: {
        ...this.#headers(),
        Accept: route.contentType ?? 'application/json',
        ...(args.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(args.idempotencyKey === undefined ? {} : { 'Idempotency-Key': args.idempotencyKey }),
        ...args.headers,
      },
      ...(args.body === undefined ? {} : { body: JSON.stringify(args.body) }),
      // The key goes to the address that it was meant for, wherever that would rather send us.
      redirect: 'manual',
      signal,
    });
  }

  #headers(): Record<string, string> {
    const { apiKey } = this.#options;
    return apiKey === null ? {} : { Authorization: `Bearer ${apiKey}` };
  }

  #url(route: Route, { params = {}, query = {} }: CallArguments): string {
    const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = params[name];
      // A path of "." or ".." would be resolved away and reach another route.
      if (!value || /^\.{1,2}$/.test(value)) throw new CliError('usage', `"${value ?? ''}" is no ${name}`);
      return encodeURIComponent(value);
    });
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
    return `${this.address}${path}${search.size > 0 ? `?${search}` : ''}`;
  }

  async #toError(route: Route, response: Response): Promise<CliError> {
    const text = (await response.text().catch(() => '')).slice(0, longestErrorCharacters);
    if (response.status === 401) {
      return new CliError(
        'unauthenticated',
        this.#options.apiKey === null
          ? `no API key for ${this.address}: run \`iocloud login --address ${this.address}\` or set IOCLOUD_API_KEY`
          : `${this.address} does not accept this API key (revoked, expired or of another control plane): run \`iocloud login\``,
      );
    }
    const { problem } = await contracts();
    const document = problem.safeParse(parseJson(text));
    const exit = exitOfStatus(response.status);
    if (document.success) return new CliError(exit, wordsOf(document.data), document.data);
    if (response.status >= 300 && response.status < 400) {
      const target = response.headers.get('location') ?? 'another address';
      return new CliError(exit, `${this.address} redirects to ${target}: use that one as --address`);
    }
    // A Ray head's errors are text, at worst a traceback whose last line says it.
    const lastLine = text.trim().split('\n').at(-1) ?? '';
    const ours = route.ray || !text.trimStart().startsWith('<');
    return new CliError(
      exit,
      ours && lastLine
        ? lastLine
        : `${this.address} answered ${response.status} to ${route.path}: is it this control plane's address?`,
    );
  }

  #unreachable(error: unknown): never {
    if (error instanceof CliError) throw error;
    if (this.#options.signal?.aborted) throw new CliError('interrupted', 'interrupted');
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    if (cause instanceof Error && cause.name === 'TimeoutError') {
      throw new CliError('unreachable', `${this.address} does not answer; what was asked for may still happen`);
    }
    const why =
      code === 'ECONNREFUSED' ? 'nothing listens there' : cause instanceof Error ? cause.message : String(cause);
    throw new CliError(
      'unreachable',
      `cannot reach ${this.address} (${why}): is the control plane up (\`make up\`), is the address right (--address)?`,
    );
  }
}

/** Said before the call, so that a typing error is a usage error. */
function refuseBadBody(route: Route, body: unknown): void {
  const parsed = route.body?.safeParse(body);
  if (!parsed || parsed.success) return;
  const faults = parsed.error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`);
  throw new CliError('usage', faults.join('; '));
}

function wordsOf(problem: Problem): string {
  const [first, ...others] = problem.errors ?? [];
  const more = first ? others.map(fault => `; ${fault.path}: ${fault.message}`).join('') : '';
  const instance = problem.status >= 500 && problem.instance ? ` (instance ${problem.instance})` : '';
  return `${problem.detail}${more}${instance}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
