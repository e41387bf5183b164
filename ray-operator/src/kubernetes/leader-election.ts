/**
 * At most one operator acts at a time: who holds the Lease. A holder that cannot renew it stops by itself before another
 * may take it, by its own clock; so clocks need not agree, only run at about the same speed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../core/kubernetes-objects.js';
import type { Logger } from '../log.js';
import { isAlreadyThere, isConflict, isNotFound } from './api-error.js';
import type { KubernetesClient } from './client.js';
import { objectPath, resources } from './resources.js';

export interface LeaderElectionOptions {
  client: KubernetesClient;
  log: Logger;
  namespace: string;
  name: string;
  identity: string;
  leaseMs: number;
  /** Without a renewal for so long the holder stops: less than leaseMs. */
  renewDeadlineMs: number;
  retryMs: number;
  /** Runs while the lease is held; the signal says that it is lost. */
  lead: (signal: AbortSignal) => Promise<void>;
}

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}

interface Lease extends Manifest {
  spec: LeaseSpec;
}

/** Kubernetes' MicroTime. */
const microTime = () => new Date().toISOString().replace('Z', '000Z');

export class LeaderElection {
  leading = false;
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  /** Another's lease runs from when we saw it change, by our own clock. */
  private seen = { version: '', at: 0 };

  constructor(private readonly options: LeaderElectionOptions) {}

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { retryMs, log } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const askedAt = Date.now();
      const held = await this.take().catch((error: unknown) => {
        log.warn({ err: error }, 'cannot ask for the lease');
        return false;
      });
      if (held) await this.hold(askedAt);
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  private async hold(since: number): Promise<void> {
    const { log, lead, identity } = this.options;
    log.info({ identity }, 'leading');
    const term = new AbortController();
    this.leading = true;
    const ended = new AbortController();
    const work = lead(term.signal)
      .catch((error: unknown) => log.error({ err: error }, 'leading failed'))
      .finally(() => ended.abort());
    await this.renew(since, AbortSignal.any([this.stopping.signal, ended.signal]));
    this.leading = false;
    term.abort();
    await work;
    if (this.stopping.signal.aborted) await this.release();
    else log.warn({ identity }, 'the lease is lost');
  }

  /** Returns when the lease is lost, or there is no more need of it. */
  private async renew(since: number, signal: AbortSignal): Promise<void> {
    const { renewDeadlineMs, retryMs, log } = this.options;
    let renewedAt = since;
    while (!signal.aborted) {
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const askedAt = Date.now();
      const remainingMs = renewedAt + renewDeadlineMs - askedAt;
      if (remainingMs <= 0) return;
      try {
        if (!(await this.take(AbortSignal.timeout(remainingMs)))) return;
        renewedAt = askedAt;
      } catch (error) {
        log.warn({ err: error }, 'cannot renew the lease');
      }
    }
  }

  private get path(): string {
    return objectPath(resources.leases, this.options.namespace, this.options.name);
  }

  /** Whether the lease is ours now. */
  private async take(signal?: AbortSignal): Promise<boolean> {
    const { client, identity } = this.options;
    try {
      const lease = await client.get<Lease>(this.path, {}, signal);
      const { holderIdentity } = lease.spec;
      if (holderIdentity && holderIdentity !== identity && !this.hasRunOut(lease)) return false;
      await client.replace(this.path, { ...lease, spec: this.spec(lease.spec) }, signal);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      if (!isNotFound(error)) throw error;
      return this.make(signal);
    }
  }

  private async make(signal?: AbortSignal): Promise<boolean> {
    const { client, namespace, name } = this.options;
    const manifest: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace },
      spec: this.spec({}),
    };
    try {
      await client.create(resources.leases, manifest, signal);
      return true;
    } catch (error) {
      if (isAlreadyThere(error)) return false;
      throw error;
    }
  }

  private hasRunOut({ metadata, spec }: Lease): boolean {
    const version = metadata.resourceVersion ?? '';
    if (version !== this.seen.version) this.seen = { version, at: Date.now() };
    return Date.now() - this.seen.at > (spec.leaseDurationSeconds ?? 0) * 1000;
  }

  private spec(previous: LeaseSpec): LeaseSpec {
    const { identity, leaseMs } = this.options;
    const changes = previous.holderIdentity !== identity;
    const now = microTime();
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      acquireTime: changes ? now : (previous.acquireTime ?? now),
      renewTime: now,
      leaseTransitions: (previous.leaseTransitions ?? 0) + (changes ? 1 : 0),
    };
  }

  /** So that the next need not wait for the lease to run out. */
  private async release(): Promise<void> {
    const { client, identity, log } = this.options;
    try {
      const lease = await client.get<Lease>(this.path);
      if (lease.spec.holderIdentity !== identity) return;
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
      await client.replace(this.path, { ...lease, spec });
    } catch (error) {
      log.warn({ err: error }, 'cannot give back the lease; it will run out');
    }
  }
}
