/** Carries out plans: for each cluster that has changed, or whose pods have, one look at the local copy and its effects. */
import type { RayClusterStatus } from '../api/raycluster.js';
import { tokenSecret } from '../core/authentication.js';
import type { Manifest, Pod, RayCluster, Service } from '../core/kubernetes-objects.js';
import { isOurs } from '../core/managed-by.js';
import { operatorName } from '../core/names.js';
import { allGo, type Derived, derive, type Plan, planCluster, unwatchedObjects } from '../core/plan.js';
import { hasFinalizer } from '../core/redis-cleanup.js';
import { canonical } from '../core/spec-hash.js';
import { differs, onlyCountsDiffer, statusOf } from '../core/status.js';
import { rfc3339 } from '../core/time.js';
import { isAlreadyThere } from '../kubernetes/api-error.js';
import type { Informer } from '../kubernetes/informer.js';
import { resourceOf, resources } from '../kubernetes/resources.js';
import type { ClusterTokens } from './cluster-tokens.js';
import { describe } from './descriptions.js';
import { Expectations } from './expectations.js';
import { KindController, type KindSettings } from './kind-controller.js';
import { clusterKeyOf } from './local-copies.js';
import { type Failure, PodEffects } from './pod-effects.js';
import { jobEveryMs, RedisCleanup } from './redis-cleanup.js';
import { newSuffix } from './suffix.js';
import { sha256 } from './text-hash.js';

export interface RayClusterControllerOptions extends KindSettings {
  clusters: Informer<RayCluster>;
  pods: Informer<Pod>;
  services: Informer<Service>;
  creationBatch: number;
  waitForHead: boolean;
  tokens: ClusterTokens;
  redisCleanup: boolean;
  lateAfterMs: number;
}

/** Pods come and go by the hundred: what they do within so long is looked at once. */
const gatherMs = 50;
const expectationTimeoutMs = 30_000;

/** Of a cluster, between reconciliations. Rebuilt by itself when lost. */
interface Memory {
  uid: string;
  /** What the operator does not watch, as last made sure of. */
  ensured?: { hash: string; generation: number; at: number };
}

export class RayClusterController extends KindController<RayClusterStatus, RayCluster> {
  private readonly expectations: Expectations;
  private readonly effects: PodEffects;
  private readonly redisCleanup: RedisCleanup;
  private readonly memories = new Map<string, Memory>();
  private readonly derived = new WeakMap<RayCluster, Derived>();

  constructor(private readonly options: RayClusterControllerOptions) {
    super(
      { apiVersion: 'ray.io/v1', kind: 'RayCluster', resource: resources.rayClusters, objects: options.clusters },
      options,
    );
    const { client, metrics, log, signal } = options;
    this.expectations = new Expectations(Date.now, expectationTimeoutMs, key => {
      metrics.expectationsExpired.inc();
      log.warn({ cluster: key }, 'what was done to pods did not come back in time; looking again');
    });
    this.effects = new PodEffects({
      client,
      expectations: this.expectations,
      creationBatch: options.creationBatch,
      signal,
    });
    this.redisCleanup = new RedisCleanup({ client, signal, events: this.events, enabled: options.redisCleanup });
    this.follow();
  }

  protected override forget(key: string): void {
    this.expectations.forget(key);
    this.memories.delete(key);
  }

  private follow(): void {
    const { pods, services } = this.options;
    const { queue } = this;
    pods.onChange((kind, pod) => {
      const key = clusterKeyOf(pod);
      if (key === undefined) return;
      this.expectations.observed(key, kind, pod);
      queue.addAfter(key, gatherMs);
    });
    services.onChange((_kind, service) => {
      const key = clusterKeyOf(service);
      if (key !== undefined) queue.addAfter(key, gatherMs);
    });
  }

  protected async reconcile(key: string): Promise<void> {
    const known = this.options.clusters.objects.get(key);
    if (!known || !isOurs(known.spec)) return;
    // What is deleted is taken apart by Kubernetes' garbage collector, by owner references, unless we hold it back.
    const isDeleted = known.metadata.deletionTimestamp !== undefined;
    if (isDeleted && !hasFinalizer(known)) return;
    const waitMs = this.expectations.remainingMs(key);
    if (waitMs > 0) {
      this.queue.addAfter(key, waitMs);
      return;
    }
    const memory = this.memoryOf(known);
    const cluster = this.statuses.newest(known);
    const owned = <T extends Pod | Service>(objects: T[]) =>
      objects.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === cluster.metadata.uid));
    const pods = owned(this.options.pods.ownedBy(key));
    if (isDeleted) return this.takeApart(key, known, pods);
    if (await this.redisCleanup.prepare(known)) return;
    const services = owned(this.options.services.ownedBy(key));
    const { waitForHead, lateAfterMs } = this.options;
    const context = { newSuffix, waitForHead, lateAfterMs, now: Date.now() };
    const plan = planCluster(cluster, this.derive(known), { pods, services }, context);
    if (plan.lookAgainInMs !== undefined) this.queue.addAfter(key, plan.lookAgainInMs);
    const failure = plan.problems.length > 0 ? undefined : await this.carryOut(key, cluster, plan, memory);
    for (const event of describe(plan, failure)) this.events.record(cluster, event.type, event.reason, event.message);
    const headService = services.find(({ metadata }) => metadata.name.endsWith('-head-svc'));
    const now = rfc3339(Date.now());
    const status = statusOf({
      cluster,
      pods,
      headService,
      problems: plan.problems,
      failure: plainFailure(failure),
      now,
    });
    // What was just made is not in the local copy yet: a status without it would be out of date at once.
    const isCatchingUp = plan.creations.length > 0 && plan.creations.length <= this.options.creationBatch;
    if (failure || !isCatchingUp) await this.writeStatus(key, cluster, status);
    if (failure) throw failure.cause;
  }

  private async takeApart(key: string, cluster: RayCluster, pods: Pod[]): Promise<void> {
    const next = await this.redisCleanup.step(cluster, pods);
    if (next === 'pods') {
      const { lateAfterMs } = this.options;
      const { deletions } = allGo(pods, 'the cluster is deleted', { now: Date.now(), lateAfterMs });
      const { failure } = await this.effects.delete(key, deletions);
      if (failure) throw failure.cause;
    }
    if (next !== 'released') this.queue.addAfter(key, jobEveryMs);
  }

  private derive(cluster: RayCluster): Derived {
    const known = this.derived.get(cluster);
    if (known) return known;
    const derived = derive(cluster, sha256);
    this.derived.set(cluster, derived);
    return derived;
  }

  private memoryOf({ metadata }: RayCluster): Memory {
    const key = `${metadata.namespace}/${metadata.name}`;
    const existing = this.memories.get(key);
    if (existing?.uid === metadata.uid) return existing;
    const created = { uid: metadata.uid };
    this.memories.set(key, created);
    return created;
  }

  private async carryOut(key: string, cluster: RayCluster, plan: Plan, memory: Memory): Promise<Failure | undefined> {
    const { metrics } = this.options;
    try {
      await this.ensureUnwatched(cluster, memory);
      for (const manifest of plan.applies) await this.apply(manifest);
    } catch (cause) {
      return { reason: 'FailedApply', message: cause instanceof Error ? cause.message : String(cause), cause };
    }
    const deleted = await this.effects.delete(key, plan.deletions);
    metrics.podsDeleted.inc(deleted.done);
    const created = await this.effects.create(key, cluster.metadata.uid, plan.creations);
    metrics.podsCreated.inc(created.done);
    return created.failure ?? deleted.failure;
  }

  /** Secrets and access rights are made without being read: the operator may not look into a namespace's Secrets. */
  private async ensureUnwatched(cluster: RayCluster, memory: Memory): Promise<void> {
    const { ensured } = memory;
    const generation = cluster.metadata.generation ?? 0;
    const isFresh = ensured !== undefined && Date.now() - ensured.at < this.options.resyncMs;
    if (isFresh && ensured.generation === generation) return;
    const secret = tokenSecret(cluster, () => this.options.tokens.made(cluster));
    const applied = unwatchedObjects(cluster);
    const hash = sha256(canonical([secret?.metadata, applied]));
    if (isFresh && ensured.hash === hash) {
      memory.ensured = { ...ensured, generation };
      return;
    }
    if (secret) {
      await this.options.client.create(resources.secrets, secret, this.options.signal).catch((error: unknown) => {
        if (!isAlreadyThere(error)) throw error;
      });
    }
    for (const manifest of applied) await this.apply(manifest);
    memory.ensured = { hash, generation, at: Date.now() };
  }

  private async apply(manifest: Manifest): Promise<void> {
    await this.options.client.apply(resourceOf(manifest.kind), manifest, operatorName, '', this.options.signal);
  }

  private async writeStatus(key: string, cluster: RayCluster, status: RayClusterStatus): Promise<void> {
    if (!differs(cluster.status, status, canonical)) return;
    const dated = { ...status, lastUpdateTime: rfc3339(Date.now()) };
    const isUrgent = !onlyCountsDiffer(cluster.status, status, canonical);
    const waitMs = await this.statuses.writeInTime(cluster, dated, isUrgent);
    if (waitMs > 0) this.queue.addAfter(key, waitMs);
  }
}

const plainFailure = (failure: Failure | undefined) => failure && { reason: failure.reason, message: failure.message };
