/** Writes the statuses of one kind, and knows what it has written until the local copy knows it, too. */
import type { KubernetesObject } from '../core/kubernetes-objects.js';
import { operatorName } from '../core/names.js';
import { isNotFound } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { keyOf } from '../kubernetes/informer.js';
import type { Resource } from '../kubernetes/resources.js';

export interface WithStatus<S> extends KubernetesObject {
  status?: S;
}

export interface StatusWriterOptions {
  client: KubernetesClient;
  resource: Resource;
  apiVersion: string;
  kind: string;
  signal: AbortSignal;
}

/** A status that is not urgent, as one in which only numbers have moved, is written at most so often. */
const atMostEveryMs = 2_000;

export class StatusWriter<S extends object, T extends WithStatus<S>> {
  private readonly written = new Map<string, { uid: string; resourceVersion: string; status: S }>();
  private readonly times = new Map<string, { uid: string; atMs: number }>();

  constructor(private readonly options: StatusWriterOptions) {}

  /** The object with the newer of two statuses: that of the local copy, or the one that was written last. */
  newest(object: T): T {
    const key = keyOf(object);
    const written = this.written.get(key);
    if (!written) return object;
    const isNewer = BigInt(object.metadata.resourceVersion ?? 0) < BigInt(written.resourceVersion || 0);
    if (isNewer && written.uid === object.metadata.uid) return { ...object, status: written.status };
    this.written.delete(key);
    return object;
  }

  /** By server-side apply: only the fields of ours change. */
  async write(object: T, status: S): Promise<void> {
    const { client, resource, apiVersion, kind, signal } = this.options;
    const { name, namespace, uid } = object.metadata;
    const manifest = { apiVersion, kind, metadata: { name, namespace, uid }, status };
    try {
      const answer = await client.apply<T>(resource, manifest, operatorName, '/status', signal);
      const resourceVersion = answer.metadata.resourceVersion ?? '';
      this.written.set(keyOf(object), { uid, resourceVersion, status: answer.status ?? status });
    } catch (error) {
      // Deleted meanwhile: nobody reads its status any more.
      if (!isNotFound(error)) throw error;
    }
  }

  /** Writes it if it is urgent or nothing was written lately; else returns after how many ms it should be tried again. */
  async writeInTime(object: T, status: S, isUrgent: boolean): Promise<number> {
    const key = keyOf(object);
    const { uid } = object.metadata;
    const last = this.times.get(key);
    const nowMs = Date.now();
    const waitMs = last?.uid === uid ? last.atMs + atMostEveryMs - nowMs : 0;
    if (waitMs > 0 && !isUrgent) return waitMs;
    this.times.set(key, { uid, atMs: nowMs });
    await this.write(object, status);
    return 0;
  }

  forget(key: string): void {
    this.written.delete(key);
    this.times.delete(key);
  }
}
