/**
 * What was done and has not yet come back by the watch. Until it has, the local copy is behind, and planning by it would
 * make pods twice: the cluster waits. A wait that takes too long is given up, and the copy believed again.
 */

import type { KubernetesObject } from '../core/kubernetes-objects.js';
import type { ChangeKind } from '../kubernetes/informer.js';

interface Waiting {
  creations: Set<string>;
  deletions: Set<string>;
  since: number;
}

export class Expectations {
  private readonly waiting = new Map<string, Waiting>();

  constructor(
    private readonly clock: () => number,
    private readonly timeoutMs: number,
    private readonly onExpired: (key: string) => void = () => undefined,
  ) {}

  /** Milliseconds for which the cluster has to wait at most; 0 when the local copy shows all that was done. */
  remainingMs(key: string): number {
    const entry = this.waiting.get(key);
    if (!entry) return 0;
    if (entry.creations.size + entry.deletions.size === 0) {
      this.waiting.delete(key);
      return 0;
    }
    const remainingMs = entry.since + this.timeoutMs - this.clock();
    if (remainingMs > 0) return remainingMs;
    this.waiting.delete(key);
    this.onExpired(key);
    return 0;
  }

  /** Said before the request goes out: the watch may be faster than the answer. */
  expectCreation(key: string, name: string): void {
    this.entry(key).creations.add(name);
  }

  expectDeletion(key: string, uid: string): void {
    this.entry(key).deletions.add(uid);
  }

  /** The request has surely done nothing. */
  creationFailed(key: string, name: string): void {
    this.waiting.get(key)?.creations.delete(name);
  }

  deletionFailed(key: string, uid: string): void {
    this.waiting.get(key)?.deletions.delete(uid);
  }

  observed(key: string, kind: ChangeKind, { metadata }: KubernetesObject): void {
    const entry = this.waiting.get(key);
    if (!entry) return;
    entry.creations.delete(metadata.name);
    if (kind === 'deleted' || metadata.deletionTimestamp) entry.deletions.delete(metadata.uid);
  }

  forget(key: string): void {
    this.waiting.delete(key);
  }

  private entry(key: string): Waiting {
    const existing = this.waiting.get(key);
    if (existing) {
      existing.since = this.clock();
      return existing;
    }
    const created = { creations: new Set<string>(), deletions: new Set<string>(), since: this.clock() };
    this.waiting.set(key, created);
    return created;
  }
}
