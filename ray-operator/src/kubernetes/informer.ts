/**
 * A local copy of the objects of a kind, kept by one list and an unending watch. What is kept of each is cut down on
 * arrival: memory grows with what the operator reads, not with what others write into objects.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesObject } from '../core/kubernetes-objects.js';
import type { Logger } from '../log.js';
import { ApiError, isGone } from './api-error.js';
import type { KubernetesClient, ObjectList } from './client.js';
import { collectionPath, type Resource } from './resources.js';

export interface InformerOptions<T> {
  client: KubernetesClient;
  log: Logger;
  resource: Resource;
  namespace: string;
  labelSelector?: string;
  /** Cuts an object down to what is kept. */
  keep: (object: T) => T;
  /** Indexes objects by what they belong to. */
  ownerKey?: (object: T) => string | undefined;
}

export type ChangeKind = 'added' | 'updated' | 'deleted';
export type ChangeHandler<T> = (kind: ChangeKind, object: T) => void;

const pageSize = '500';
const longestPauseMs = 30_000;
const shortestWatchMs = 1_000;

export const keyOf = ({ metadata }: KubernetesObject) => `${metadata.namespace}/${metadata.name}`;

export class Informer<T extends KubernetesObject> {
  readonly objects = new Map<string, T>();
  lists = 0;
  /** Since when the API server has not answered; `undefined` while it does. */
  silentSinceMs: number | undefined;
  /** Whether a whole list has ever come in. */
  isSynced = false;
  private readonly owned = new Map<string, Map<string, T>>();
  private readonly handlers: ChangeHandler<T>[] = [];
  private readonly silenceHandlers: (() => void)[] = [];
  private readonly stopping = new AbortController();
  private resourceVersion = '';
  private running: Promise<void> | undefined;
  private markSynced: () => void = () => undefined;
  private readonly synced = new Promise<void>(resolve => {
    this.markSynced = resolve;
  });

  constructor(private readonly options: InformerOptions<T>) {}

  onChange(handler: ChangeHandler<T>): void {
    this.handlers.push(handler);
  }

  /** When silence begins and when it ends. */
  onSilence(handler: () => void): void {
    this.silenceHandlers.push(handler);
  }

  ownedBy(key: string): T[] {
    return [...(this.owned.get(key)?.values() ?? [])];
  }

  /** Resolves when the first list is in. */
  async start(): Promise<void> {
    this.running = this.run();
    await this.synced;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (this.resourceVersion === '') await this.list();
        const since = performance.now();
        await this.follow();
        failures = 0;
        // A server that ends watches as soon as they begin is not to be asked in a circle.
        const shortfallMs = shortestWatchMs - (performance.now() - since);
        if (shortfallMs > 0) await sleep(shortfallMs, undefined, { signal }).catch(() => undefined);
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) {
          // Our place in the history is forgotten: only a new list says what happened since.
          this.resourceVersion = '';
          continue;
        }
        failures += 1;
        this.markSilent(this.silentSinceMs ?? Date.now());
        const pauseMs = Math.min(100 * 2 ** failures, longestPauseMs) * (0.5 + Math.random() / 2);
        const { plural } = this.options.resource;
        this.options.log.warn({ err: error, resource: plural, pauseMs: Math.round(pauseMs) }, 'the watch broke');
        await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  private query(): Record<string, string> {
    return this.options.labelSelector ? { labelSelector: this.options.labelSelector } : {};
  }

  private get path(): string {
    return collectionPath(this.options.resource, this.options.namespace);
  }

  private async list(): Promise<void> {
    const { client, keep } = this.options;
    const seen = new Set<string>();
    let page: ObjectList<T> | undefined;
    this.lists += 1;
    do {
      const query = {
        ...this.query(),
        limit: pageSize,
        ...(page?.metadata.continue ? { continue: page.metadata.continue } : {}),
      };
      page = await client.get<ObjectList<T>>(this.path, query, this.stopping.signal);
      for (const object of page.items) {
        seen.add(keyOf(object));
        this.put(keep(object));
      }
    } while (page.metadata.continue);
    for (const [key, object] of this.objects) if (!seen.has(key)) this.remove(object);
    this.resourceVersion = page.metadata.resourceVersion;
    this.isSynced = true;
    this.markSynced();
  }

  /** Until the server ends the watch, which it does every few minutes. */
  private async follow(): Promise<void> {
    const timeoutSeconds = String(240 + Math.floor(Math.random() * 240));
    const query = {
      ...this.query(),
      resourceVersion: this.resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds,
    };
    const stream = await this.options.client.watch(this.path, query, this.stopping.signal);
    this.markSilent(undefined);
    try {
      for await (const line of stream) this.take(JSON.parse(line));
    } finally {
      stream.close();
    }
  }

  private take({
    type,
    object,
  }: {
    type: string;
    object: T & { code?: number; reason?: string; message?: string };
  }): void {
    if (type === 'ERROR')
      throw new ApiError(object.code ?? 500, object.reason ?? '', object.message ?? 'the watch failed');
    this.resourceVersion = object.metadata.resourceVersion ?? this.resourceVersion;
    if (type === 'BOOKMARK') return;
    const kept = this.options.keep(object);
    if (type === 'DELETED') this.remove(kept);
    else this.put(kept);
  }

  private put(object: T): void {
    const key = keyOf(object);
    const before = this.objects.get(key);
    if (before && before.metadata.uid !== object.metadata.uid) this.remove(before);
    else if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.objects.set(key, object);
    this.index(object)?.set(key, object);
    this.tell(before?.metadata.uid === object.metadata.uid ? 'updated' : 'added', object);
  }

  private remove(object: T): void {
    const key = keyOf(object);
    this.objects.delete(key);
    const owner = this.options.ownerKey?.(object);
    if (owner !== undefined) {
      this.owned.get(owner)?.delete(key);
      if (this.owned.get(owner)?.size === 0) this.owned.delete(owner);
    }
    this.tell('deleted', object);
  }

  private index(object: T): Map<string, T> | undefined {
    const owner = this.options.ownerKey?.(object);
    if (owner === undefined) return undefined;
    const existing = this.owned.get(owner);
    if (existing) return existing;
    const created = new Map<string, T>();
    this.owned.set(owner, created);
    return created;
  }

  private markSilent(since: number | undefined): void {
    if (this.silentSinceMs === since) return;
    this.silentSinceMs = since;
    for (const handler of this.silenceHandlers) handler();
  }

  private tell(kind: ChangeKind, object: T): void {
    for (const handler of this.handlers) handler(kind, object);
  }
}
