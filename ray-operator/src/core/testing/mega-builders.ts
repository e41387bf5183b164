/** MegaRayClusters as tests need them, and Kubernetes clusters reduced to what a plan of cells does to them. */
import type { CellGroup, MegaRayClusterSpec } from '../../api/megaraycluster.js';
import type { MegaRayCluster, RayCluster } from '../kubernetes-objects.js';
import { type Cell, cellOf } from '../mega/cells.js';
import { type DerivedMega, deriveMega, type ObservedCells } from '../mega/derived.js';
import { localCluster, megaFinalizer } from '../mega/names.js';
import { type MegaPlan, planMega } from '../mega/plan.js';
import { healthOf } from '../mega/shares.js';
import { megaStatusOf } from '../mega/status.js';
import { aGroup, aTemplate, generation } from './builders.js';

export function aCellGroup(fields: Partial<CellGroup> = {}): CellGroup {
  const workers = aGroup({ template: aTemplate('ray-worker', { 'nvidia.com/gpu': '8' }) });
  return {
    name: 'h100',
    weight: 1,
    minReplicas: 0,
    maxReplicas: 10_000,
    template: { spec: { headGroupSpec: { template: aTemplate('ray-head') }, workerGroupSpecs: [workers] } },
    ...fields,
  };
}

/** Another image: cells of the old one have to go. */
export function changed(group: CellGroup, image: string): CellGroup {
  const template = { spec: { containers: [{ name: 'ray-head', image }] } };
  return { ...group, template: { spec: { ...group.template.spec, headGroupSpec: { template } } } };
}

export function aMega(
  spec: Partial<MegaRayClusterSpec> = {},
  metadata: Partial<MegaRayCluster['metadata']> = {},
): MegaRayCluster {
  return {
    metadata: {
      name: 'fleet',
      namespace: 'team',
      uid: 'uid-fleet',
      generation,
      finalizers: [megaFinalizer],
      ...metadata,
    },
    spec: { replicas: 4, cellGroups: [aCellGroup()], ...spec },
  };
}

export const startMs = Date.parse('2026-01-01T00:00:00Z');
/** FNV-1a: the manifests themselves would be compared by the megabyte. */
export function tinyHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16);
}

export class TinyKubernetesClusters {
  readonly objects = new Map<string, RayCluster>();
  readonly silent = new Set<string>();
  nowMs = startMs;
  mega: MegaRayCluster | undefined;
  private readonly whereabouts = new Map<string, string>();
  private troubles = new Map<string, Cell['trouble']>();
  private counter = 0;
  private readonly derived = new WeakMap<MegaRayCluster, DerivedMega>();

  constructor(readonly members: string[] = []) {}

  derive(mega: MegaRayCluster): DerivedMega {
    const known = this.derived.get(mega);
    if (known) return known;
    const derived = deriveMega(mega, tinyHash);
    this.derived.set(mega, derived);
    return derived;
  }

  observe(mega: MegaRayCluster): ObservedCells {
    const { minReadyWorkersPercent } = healthOf(mega.spec);
    const cells = [...this.objects.values()].map(object => {
      const kubernetesCluster = this.whereabouts.get(object.metadata.name) ?? localCluster;
      const before = this.troubles.get(object.metadata.name);
      const reachable = !this.silent.has(kubernetesCluster);
      return cellOf(object, { kubernetesCluster, reachable, minReadyWorkersPercent, before, nowMs: this.nowMs });
    });
    this.troubles = new Map(cells.map(({ name, trouble }) => [name, trouble]));
    const known = new Set([localCluster, ...this.members]);
    const reachable = new Set([...known].filter(name => !this.silent.has(name)));
    return { cells, known, reachable, nowMs: this.nowMs };
  }

  /** One look and its effects. */
  step(mega: MegaRayCluster): MegaPlan {
    const derived = this.derive(mega);
    const plan = planMega(mega, derived, this.observe(mega), { newSuffix: () => this.newSuffix(), hash: tinyHash });
    for (const { cell } of plan.deletions) this.objects.delete(cell.name);
    for (const { manifest } of plan.updates) {
      const before = this.objects.get(manifest.metadata.name);
      if (before)
        this.objects.set(manifest.metadata.name, {
          ...before,
          ...manifest,
          metadata: { ...before.metadata, ...manifest.metadata },
        });
    }
    for (const { kubernetesCluster, manifest } of plan.creations) this.make(kubernetesCluster, manifest);
    this.nowMs += 1_000;
    return plan;
  }

  status(mega: MegaRayCluster) {
    const [derived, observed] = [this.derive(mega), this.observe(mega)];
    const now = new Date(this.nowMs).toISOString();
    return megaStatusOf({ mega, derived, observed, isBusy: false, failure: undefined, now });
  }

  /** All that start come up. */
  ready(names: Iterable<string> = this.objects.keys()): void {
    for (const name of names) this.set(name, 'ready', 2, 2);
  }

  fail(name: string): void {
    this.set(name, 'ready', 2, 2, false);
  }

  set(name: string, state: string, desired: number, ready: number, head = state === 'ready'): void {
    const object = this.objects.get(name);
    if (!object) return;
    const lastTransitionTime = new Date(this.nowMs).toISOString();
    const headReady = { type: 'HeadPodReady', reason: 'R', message: '', lastTransitionTime };
    this.objects.set(name, {
      ...object,
      status: {
        state,
        desiredWorkerReplicas: desired,
        readyWorkerReplicas: ready,
        conditions: [{ ...headReady, status: head ? 'True' : 'False' }],
      },
    });
  }

  settle(mega: MegaRayCluster, steps = 60): void {
    for (let step = 0; step < steps; step += 1) {
      const plan = this.step(mega);
      this.ready();
      if (plan.creations.length + plan.deletions.length + plan.updates.length === 0) return;
    }
    throw new Error(`not settled after ${steps} steps`);
  }

  cells(mega: MegaRayCluster): Cell[] {
    return this.observe(mega).cells;
  }

  private make(kubernetesCluster: string, manifest: MegaPlan['creations'][number]['manifest']): void {
    const { name } = manifest.metadata;
    if (this.objects.has(name)) throw new Error(`${name} is made twice`);
    const creationTimestamp = new Date(this.nowMs).toISOString();
    const metadata = { ...manifest.metadata, uid: `uid-${name}`, creationTimestamp } as RayCluster['metadata'];
    this.objects.set(name, { metadata, spec: manifest.spec });
    this.whereabouts.set(name, kubernetesCluster);
  }

  private newSuffix(): string {
    this.counter += 1;
    return this.counter.toString(36).padStart(5, '0');
  }
}
