/** Carries out the plans of MegaRayClusters: their cells are RayClusters here and in member clusters. */
import type { MegaRayClusterStatus } from '../../api/megaraycluster.js';
import type { MegaRayCluster, RayCluster } from '../../core/kubernetes-objects.js';
import { type Cell, cellOf, rememberedCells, type Trouble } from '../../core/mega/cells.js';
import { type DerivedMega, deriveMega, type ObservedCells } from '../../core/mega/derived.js';
import { placesOf } from '../../core/mega/manifest.js';
import { localCluster, megaApiVersion, megaFinalizer, megaKind, megaLabels } from '../../core/mega/names.js';
import { type MegaPlan, planMega } from '../../core/mega/plan.js';
import { healthOf } from '../../core/mega/shares.js';
import { isUrgent, megaStatusOf } from '../../core/mega/status.js';
import { canonical } from '../../core/spec-hash.js';
import { rfc3339 } from '../../core/time.js';
import { isConflict, isNotFound } from '../../kubernetes/api-error.js';
import type { ChangeKind, Informer } from '../../kubernetes/informer.js';
import { resources } from '../../kubernetes/resources.js';
import { Expectations } from '../expectations.js';
import { changeFinalizer } from '../finalizers.js';
import { KindController, type KindSettings } from '../kind-controller.js';
import { megaKeyOf } from '../local-copies.js';
import { newSuffix } from '../suffix.js';
import { sha256 } from '../text-hash.js';
import { CellEffects, type CellFailure } from './cell-effects.js';
import { describeCells } from './descriptions.js';
import { answers, type Members, silenceAfterMs } from './members.js';

export interface MegaRayClusterControllerOptions extends KindSettings {
  megaClusters: Informer<MegaRayCluster>;
  clusters: Informer<RayCluster>;
  members: Members;
}

/** What cells do within so long is looked at once. */
const gatherMs = 100;
const expectationTimeoutMs = 30_000;
const batch = 32;

type Troubles = Map<string, { kind: Trouble; sinceMs: number }>;

/** Between reconciliations. Rebuilt from the status when lost. */
interface Memory {
  uid: string;
  troubles: Troubles;
}

const sinceOf = (status: MegaRayClusterStatus | undefined): Troubles =>
  new Map(
    (status?.cells ?? []).flatMap(({ name, state, since }) => {
      const kind: Trouble = state === 'Unknown' ? 'unreachable' : 'broken';
      return since ? [[name, { kind, sinceMs: Date.parse(since) }] as const] : [];
    }),
  );

export class MegaRayClusterController extends KindController<MegaRayClusterStatus, MegaRayCluster> {
  private readonly expectations: Expectations;
  private readonly effects: CellEffects;
  private readonly memories = new Map<string, Memory>();
  private readonly derived = new WeakMap<MegaRayCluster, DerivedMega>();

  constructor(private readonly options: MegaRayClusterControllerOptions) {
    super(
      {
        apiVersion: megaApiVersion,
        kind: megaKind,
        resource: resources.megaRayClusters,
        objects: options.megaClusters,
      },
      options,
    );
    const { client, metrics, log, signal, members } = options;
    this.expectations = new Expectations(Date.now, expectationTimeoutMs, key => {
      metrics.expectationsExpired.inc();
      log.warn({ megaraycluster: key }, 'what was done to cells did not come back in time; looking again');
    });
    const clientOf = (name: string) => (name === localCluster ? client : members.get(name)?.client);
    this.effects = new CellEffects({ clientOf, expectations: this.expectations, batch, signal });
    this.follow();
  }

  protected override forget(key: string): void {
    this.expectations.forget(key);
    this.memories.delete(key);
  }

  private follow(): void {
    const { megaClusters, clusters, members } = this.options;
    const { queue } = this;
    const cellChanged = (kind: ChangeKind, cell: RayCluster) => {
      const key = megaKeyOf(cell);
      if (key === undefined) return;
      this.expectations.observed(key, kind, cell);
      queue.addAfter(key, gatherMs);
    };
    clusters.onChange(cellChanged);
    members.onCell(cellChanged);
    members.onChange(() => {
      for (const key of megaClusters.objects.keys()) {
        queue.add(key);
        setTimeout(() => queue.add(key), silenceAfterMs + gatherMs).unref();
      }
    });
  }

  protected async reconcile(key: string): Promise<void> {
    const found = this.options.megaClusters.objects.get(key);
    if (!found) return;
    const waitMs = this.expectations.remainingMs(key);
    if (waitMs > 0) {
      this.queue.addAfter(key, waitMs);
      return;
    }
    const mega = this.statuses.newest(found);
    const memory = this.memoryOf(mega);
    const derived = this.derive(found);
    const observed = this.observe(key, mega, memory);
    const plan = planMega(mega, derived, observed, { newSuffix, hash: sha256 });
    if (plan.finalizer) {
      await this.changeFinalizer(mega, plan.finalizer);
      return;
    }
    const failure = plan.problems.length > 0 ? undefined : await this.effects.carryOut(key, plan);
    for (const { type, reason, message } of describeCells(plan, failure))
      this.events.record(mega, type, reason, message);
    await this.writeStatus(key, mega, this.status(mega, derived, observed, plan, failure));
    if (plan.lookAgainInMs !== undefined) this.queue.addAfter(key, Math.min(plan.lookAgainInMs, 2 ** 31 - 1));
    if (failure) throw failure.cause;
  }

  private observe(key: string, mega: MegaRayCluster, memory: Memory): ObservedCells {
    const { clusters, members } = this.options;
    const nowMs = Date.now();
    const { minReadyWorkersPercent } = healthOf(mega.spec);
    const mine = (cell: RayCluster) => cell.metadata.labels?.[megaLabels.uid] === mega.metadata.uid;
    const cellsIn = (kubernetesCluster: string, copy: Informer<RayCluster>, reachable: boolean): Cell[] =>
      copy
        .ownedBy(key)
        .filter(mine)
        .map(object => {
          const before = memory.troubles.get(object.metadata.name);
          return cellOf(object, { kubernetesCluster, reachable, minReadyWorkersPercent, before, nowMs });
        });
    const reachable = new Set([localCluster]);
    const cells = cellsIn(localCluster, clusters, true);
    for (const name of this.clustersOf(mega)) {
      const member = members.get(name);
      const isThere = member !== undefined && answers(member, nowMs);
      if (isThere) reachable.add(name);
      if (member?.cells.isSynced) cells.push(...cellsIn(name, member.cells, isThere));
      else cells.push(...rememberedCells(mega.status, name, nowMs));
    }
    memory.troubles = new Map(cells.flatMap(({ name, trouble }) => (trouble ? [[name, trouble] as const] : [])));
    return { cells, known: new Set([localCluster, ...members.names()]), reachable, nowMs };
  }

  /** Members that its spec names, that its status speaks of, or that are known: cells may be in any of them. */
  private clustersOf({ spec, status }: MegaRayCluster): Set<string> {
    const named = spec.cellGroups.flatMap(placesOf).map(({ kubernetesCluster }) => kubernetesCluster);
    const used = (status?.places ?? []).filter(({ cells }) => cells > 0).map(place => place.kubernetesCluster);
    const all = new Set([...named, ...used, ...this.options.members.names()]);
    all.delete(localCluster);
    return all;
  }

  private derive(mega: MegaRayCluster): DerivedMega {
    const known = this.derived.get(mega);
    if (known) return known;
    const derived = deriveMega(mega, sha256);
    this.derived.set(mega, derived);
    return derived;
  }

  private memoryOf({ metadata, status }: MegaRayCluster): Memory {
    const key = `${metadata.namespace}/${metadata.name}`;
    const existing = this.memories.get(key);
    if (existing?.uid === metadata.uid) return existing;
    const created = { uid: metadata.uid, troubles: sinceOf(status) };
    this.memories.set(key, created);
    return created;
  }

  private async changeFinalizer(mega: MegaRayCluster, change: 'add' | 'remove'): Promise<void> {
    try {
      await changeFinalizer(this.options, resources.megaRayClusters, mega, megaFinalizer, change);
    } catch (error) {
      // Changed or gone meanwhile: the watch brings it, and it is looked at again.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
  }

  private status(
    mega: MegaRayCluster,
    derived: DerivedMega,
    observed: ObservedCells,
    plan: MegaPlan,
    failure: CellFailure | undefined,
  ): MegaRayClusterStatus {
    const isBusy = plan.creations.length + plan.deletions.length + plan.updates.length > 0;
    const plain = failure && { reason: failure.reason, message: failure.message };
    return megaStatusOf({ mega, derived, observed, isBusy, failure: plain, now: rfc3339(Date.now()) });
  }

  private async writeStatus(key: string, mega: MegaRayCluster, status: MegaRayClusterStatus) {
    if (canonical(mega.status ?? {}) === canonical(status)) return;
    const waitMs = await this.statuses.writeInTime(mega, status, isUrgent(mega.status, status));
    if (waitMs > 0) this.queue.addAfter(key, waitMs);
  }
}
