/** What the CRD's schema cannot say of a RayJob: each problem is a sentence that names the field. */
import type { RayJob } from '../kubernetes-objects.js';
import { validate } from '../validation.js';

/** Leaves room for what is added to make a cluster's name of it. */
const longestName = 46;

export function validateRayJob(job: RayJob, parseYaml: (text: string) => unknown): string[] {
  const { spec, metadata } = job;
  return [
    ...(metadata.name.length > longestName
      ? [`metadata.name: at most ${longestName} characters, it has ${metadata.name.length}`]
      : []),
    ...clusterProblems(job),
    ...modeProblems(job),
    ...deletionProblems(job),
    ...yamlProblems(spec.runtimeEnvYAML, parseYaml),
    ...resourceProblems(spec.entrypointResources),
  ];
}

function clusterProblems({ spec, metadata }: RayJob): string[] {
  const { rayClusterSpec, clusterSelector } = spec;
  const selects = clusterSelector !== undefined;
  if ((rayClusterSpec === undefined) === !selects)
    return ['spec: one of rayClusterSpec and clusterSelector, and not both'];
  if (rayClusterSpec) {
    const cluster = { metadata: { ...metadata, name: 'a' }, spec: rayClusterSpec };
    return validate(cluster).map(problem => `rayClusterSpec.${problem}`);
  }
  if (Object.keys(clusterSelector ?? {}).length === 0) return ['clusterSelector: names no label'];
  return [
    ...(spec.suspend ? ['suspend: a cluster that was there before the job is not suspended with it'] : []),
    ...(spec.shutdownAfterJobFinishes
      ? ['shutdownAfterJobFinishes: only for a cluster of the job (rayClusterSpec)']
      : []),
    ...(spec.submissionMode === 'SidecarMode' ? ['submissionMode: SidecarMode needs a rayClusterSpec'] : []),
  ];
}

function modeProblems({ spec }: RayJob): string[] {
  const mode = spec.submissionMode;
  const isInteractive = mode === 'InteractiveMode';
  const head = spec.rayClusterSpec?.headGroupSpec.template.spec as { restartPolicy?: string } | undefined;
  return [
    ...(!isInteractive && !spec.entrypoint ? [`entrypoint: ${mode} needs one`] : []),
    ...(isInteractive && spec.backoffLimit > 0 ? ['backoffLimit: nobody can submit again in InteractiveMode'] : []),
    ...(mode !== 'K8sJobMode' && spec.submitterPodTemplate
      ? [`submitterPodTemplate: ${mode} has no submitter pod`]
      : []),
    ...(mode === 'SidecarMode' && head?.restartPolicy && head.restartPolicy !== 'Never'
      ? ['rayClusterSpec.headGroupSpec.template.spec.restartPolicy: SidecarMode needs Never']
      : []),
  ];
}

function deletionProblems({ spec }: RayJob): string[] {
  const { deletionStrategy: strategy, shutdownAfterJobFinishes: shutdown, ttlSecondsAfterFinished: ttl } = spec;
  const rules = strategy?.deletionRules;
  const legacy = strategy?.onSuccess !== undefined || strategy?.onFailure !== undefined;
  const policies = [
    ...(rules ?? []).map(({ policy }) => policy),
    ...[strategy?.onSuccess?.policy, strategy?.onFailure?.policy, spec.deletionPolicy],
  ];
  const touchesCluster = policies.some(policy => policy === 'DeleteCluster' || policy === 'DeleteWorkers');
  return [
    ...(ttl > 0 && !shutdown ? ['ttlSecondsAfterFinished: only with shutdownAfterJobFinishes: true'] : []),
    ...(rules && (shutdown || legacy)
      ? ['deletionStrategy.deletionRules: not together with shutdownAfterJobFinishes, onSuccess or onFailure']
      : []),
    ...(legacy && !(strategy?.onSuccess && strategy.onFailure)
      ? ['deletionStrategy: onSuccess and onFailure, both']
      : []),
    ...(rules ?? [])
      .filter(({ condition }) => (condition.jobStatus === undefined) === (condition.jobDeploymentStatus === undefined))
      .map(() => 'deletionStrategy.deletionRules: each condition has one of jobStatus and jobDeploymentStatus'),
    ...(touchesCluster && spec.clusterSelector
      ? ['deletionStrategy: a selected cluster is not the job’s to delete']
      : []),
    ...(policies.includes('DeleteWorkers') && spec.rayClusterSpec?.enableInTreeAutoscaling
      ? ['deletionStrategy: DeleteWorkers and enableInTreeAutoscaling work against each other']
      : []),
  ];
}

function yamlProblems(text: string | undefined, parseYaml: (text: string) => unknown): string[] {
  if (!text) return [];
  try {
    const value = parseYaml(text);
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isMap || value === null ? [] : ['runtimeEnvYAML: a map is expected'];
  } catch (error) {
    return [`runtimeEnvYAML: ${String(error instanceof Error ? error.message : error).split('\n')[0]}`];
  }
}

function resourceProblems(text: string | undefined): string[] {
  if (!text) return [];
  try {
    const values = Object.values(JSON.parse(text) as Record<string, unknown>);
    if (values.every(value => typeof value === 'number')) return [];
  } catch {
    // Said below, as for JSON of another shape.
  }
  return ['entrypointResources: JSON as {"name": amount} is expected'];
}
