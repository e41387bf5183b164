/** What a cluster's pods depend on, as one string: the same for equal specs in whatever order their keys come. */
import type { RayClusterSpec } from '../api/raycluster.js';

export type Hash = (text: string) => string;

export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`;
}

/** Without what changes the number of pods only: scaling is no upgrade. */
export function podSpecHash(spec: RayClusterSpec, hash: Hash): string {
  const { headGroupSpec, workerGroupSpecs, rayVersion, enableInTreeAutoscaling, autoscalerOptions } = spec;
  const { gcsFaultToleranceOptions, authOptions } = spec;
  const groups = (workerGroupSpecs ?? []).map(group => {
    const { replicas, minReplicas, maxReplicas, scaleStrategy, suspend, idleTimeoutSeconds, ...kept } = group;
    return kept;
  });
  const { headService, serviceType, enableIngress, ...head } = headGroupSpec;
  return hash(
    canonical({
      head,
      groups,
      rayVersion,
      enableInTreeAutoscaling,
      autoscalerOptions,
      gcsFaultToleranceOptions,
      authOptions,
    }),
  );
}
