/** What the CRD's schema cannot say: each problem is a sentence that names the field. */
import type { PodTemplate, RayClusterSpec, WorkerGroupSpec } from '../api/raycluster.js';
import { supportsTokens } from './authentication.js';
import type { RayCluster } from './kubernetes-objects.js';
import { annotations } from './names.js';
import { parseQuantity } from './quantity.js';

const dnsLabel = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
/** Leaves room in a host name for what the operator adds, `-autoscaler` being the longest. */
const longestName = 52;

export function validate(cluster: RayCluster): string[] {
  const { spec, metadata } = cluster;
  const groups = spec.workerGroupSpecs ?? [];
  return [
    ...nameProblems(metadata.name),
    ...templateProblems('headGroupSpec', spec.headGroupSpec.template),
    ...resourceProblems('headGroupSpec', spec.headGroupSpec.resources),
    ...groups.flatMap(groupProblems),
    ...duplicates(groups.map(({ groupName }) => groupName)).map(
      name => `workerGroupSpecs: the name ${name} is used more than once`,
    ),
    ...authenticationProblems(spec),
    ...faultToleranceProblems(cluster),
  ];
}

function nameProblems(name: string): string[] {
  if (name.length > longestName) return [`metadata.name: at most ${longestName} characters, it has ${name.length}`];
  if (!dnsLabel.test(name)) return ['metadata.name: lower-case letters, digits and - only, and a letter first'];
  return [];
}

function groupProblems(group: WorkerGroupSpec): string[] {
  const place = `workerGroupSpecs[${group.groupName}]`;
  const problems = [...templateProblems(place, group.template), ...resourceProblems(place, group.resources)];
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(group.groupName) || group.groupName.length > 63) {
    problems.push(`${place}.groupName: lower-case letters, digits and - only, at most 63`);
  }
  if (group.groupName === 'headgroup') problems.push(`${place}.groupName: headgroup is the head's`);
  if (group.minReplicas > group.maxReplicas) {
    problems.push(`${place}: minReplicas (${group.minReplicas}) is above maxReplicas (${group.maxReplicas})`);
  }
  return problems;
}

function templateProblems(place: string, template: PodTemplate): string[] {
  const container = template.spec.containers[0];
  if (!container) return [`${place}.template.spec.containers: Ray runs in the first, and there is none`];
  return Object.entries({ ...container.resources?.requests, ...container.resources?.limits })
    .filter(([, amount]) => parseQuantity(amount) === undefined)
    .map(([name, amount]) => `${place}.template.spec.containers[0].resources: ${name}: ${amount} is no quantity`);
}

function resourceProblems(place: string, resources: Record<string, string> = {}): string[] {
  return Object.entries(resources)
    .filter(([, amount]) => parseQuantity(amount) === undefined)
    .map(([name, amount]) => `${place}.resources: ${name}: ${amount} is no quantity`);
}

function duplicates(names: string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}

function authenticationProblems({ authOptions, rayVersion }: RayClusterSpec): string[] {
  if (authOptions?.mode === 'token' && supportsTokens(rayVersion) === false) {
    return [`authOptions.mode: Ray has token authentication from 2.52 on, rayVersion is ${rayVersion}`];
  }
  if (authOptions?.mode === 'disabled' && authOptions.secretName) {
    return ['authOptions.secretName: has no meaning where mode is disabled'];
  }
  return [];
}

function faultToleranceProblems({ spec, metadata }: RayCluster): string[] {
  const options = spec.gcsFaultToleranceOptions;
  const annotation = metadata.annotations?.[annotations.faultTolerance];
  if (options && annotation === 'false') {
    return [`gcsFaultToleranceOptions: the annotation ${annotations.faultTolerance}=false says the opposite`];
  }
  const environment = spec.headGroupSpec.template.spec.containers[0]?.env ?? [];
  if (options && environment.some(({ name }) => name === 'RAY_REDIS_ADDRESS')) {
    return ['gcsFaultToleranceOptions: the head container sets RAY_REDIS_ADDRESS as well; say it in one place'];
  }
  return [];
}
