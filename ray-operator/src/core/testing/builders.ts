/** Clusters and pods as tests need them, and a Kubernetes reduced to what a plan does to it. */
import type { RayClusterSpec, WorkerGroupSpec } from '../../api/raycluster.js';
import type { Manifest, Pod, RayCluster } from '../kubernetes-objects.js';
import { derive, type Plan, type PlanContext, planCluster } from '../plan.js';

export const generation = 3;

type GroupFields = Partial<WorkerGroupSpec>;

export function aGroup(fields: GroupFields = {}): WorkerGroupSpec {
  return {
    groupName: 'workers',
    replicas: 2,
    minReplicas: 0,
    maxReplicas: 100,
    numOfHosts: 1,
    template: aTemplate('ray-worker'),
    ...fields,
  };
}

export function aTemplate(name: string, resources: Record<string, string | number> = { cpu: '4', memory: '8Gi' }) {
  return { spec: { containers: [{ name, image: 'rayproject/ray:2.60.0', resources: { limits: resources } }] } };
}

export function aCluster(
  spec: Partial<RayClusterSpec> = {},
  metadata: Partial<RayCluster['metadata']> = {},
): RayCluster {
  return {
    metadata: { name: 'demo', namespace: 'team', uid: 'uid-demo', generation, ...metadata },
    spec: { headGroupSpec: { template: aTemplate('ray-head') }, workerGroupSpecs: [aGroup()], ...spec },
  };
}

export function aContext(): PlanContext {
  let counter = 0;
  return {
    newSuffix: () => (counter++).toString(36).padStart(5, '0'),
    waitForHead: true,
    now: 0,
    lateAfterMs: 60_000,
  };
}

export const readyStatus = {
  phase: 'Running',
  podIP: '10.0.0.1',
  conditions: [{ type: 'Ready', status: 'True' }],
};

/** Pods that obey at once: what is created runs, what is deleted leaves, and what leaves is gone at the next step. */
export class TinyKubernetes {
  pods: Pod[] = [];
  private uids = 0;
  readonly context = aContext();

  plan(cluster: RayCluster): Plan {
    // The text itself for a hash: a test that fails shows what differs.
    const derived = derive(cluster, text => text);
    return planCluster(cluster, derived, { pods: this.pods, services: [] }, this.context);
  }

  /** One look and its effects; returns the plan. */
  step(cluster: RayCluster): Plan {
    const plan = this.plan(cluster);
    const gone = new Set(plan.deletions.map(({ pod }) => pod.metadata.uid));
    this.pods = this.pods
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .map(pod => (gone.has(pod.metadata.uid) ? leaving(pod) : pod));
    this.pods.push(...plan.creations.map(manifest => this.made(manifest)));
    return plan;
  }

  settle(cluster: RayCluster, steps = 6): void {
    for (let step = 0; step < steps; step += 1) this.step(cluster);
  }

  names(): string[] {
    return this.pods.map(({ metadata }) => metadata.name).sort();
  }

  private made(manifest: Manifest): Pod {
    this.uids += 1;
    const { spec, metadata } = manifest as unknown as Pod;
    return {
      metadata: { ...metadata, uid: `uid-${this.uids}`, creationTimestamp: new Date(this.uids * 1000).toISOString() },
      spec: {
        containers: spec?.containers ?? [],
        ...(spec?.restartPolicy ? { restartPolicy: spec.restartPolicy } : {}),
      },
      status: readyStatus,
    };
  }
}

export const leaving = (pod: Pod): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
});
