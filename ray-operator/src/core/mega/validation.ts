/** What the CRD's schema cannot say of a MegaRayCluster: each problem is a sentence that names the field. */
import type { CellGroup, MegaRayClusterSpec } from '../../api/megaraycluster.js';
import type { MegaRayCluster } from '../kubernetes-objects.js';
import { validate } from '../validation.js';
import { placesOf } from './manifest.js';
import { megaAnnotations, megaLabels } from './names.js';
import { cellsOf } from './shares.js';

const dnsLabel = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const groupName = /^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$/;
const labelValue = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
/** Each is a line of the status. */
const mostPlaces = 200;

export function validateMega({ metadata, spec }: MegaRayCluster): string[] {
  const problems: string[] = [];
  if (!dnsLabel.test(metadata.name)) {
    problems.push('metadata.name: lower-case letters, digits and - only, a letter first, at most 63 (it is a label)');
  }
  problems.push(...spec.cellGroups.flatMap(groupProblems), ...rolloutProblems(spec), ...boundProblems(spec));
  const places = spec.cellGroups.reduce((sum, group) => sum + placesOf(group).length, 0);
  if (places > mostPlaces) problems.push(`cellGroups: at most ${mostPlaces} places in all, there are ${places}`);
  return problems;
}

function groupProblems(group: CellGroup): string[] {
  const at = `cellGroups[${group.name}]`;
  const problems: string[] = [];
  if (!groupName.test(group.name)) problems.push(`${at}.name: lower-case letters, digits and - only, at most 20`);
  if (group.minReplicas > group.maxReplicas) {
    problems.push(`${at}: minReplicas (${group.minReplicas}) is above maxReplicas (${group.maxReplicas})`);
  }
  const places = placesOf(group).map(({ kubernetesCluster, domain }) => `${kubernetesCluster}/${domain ?? ''}`);
  for (const name of new Set(places.filter((each, index) => places.indexOf(each) !== index))) {
    problems.push(`${at}.places: ${name} is named more than once`);
  }
  for (const { kubernetesCluster, domains } of group.places ?? []) {
    if (!labelValue.test(kubernetesCluster))
      problems.push(`${at}.places: ${kubernetesCluster} is no name of a cluster`);
    for (const domain of domains ?? []) {
      if (!labelValue.test(domain)) problems.push(`${at}.places: ${domain} is no value of a node's label`);
    }
  }
  const ours: string[] = [...Object.values(megaLabels), ...Object.values(megaAnnotations)];
  const { labels, annotations } = group.template.metadata ?? {};
  for (const key of [...Object.keys(labels ?? {}), ...Object.keys(annotations ?? {})]) {
    if (ours.includes(key)) problems.push(`${at}.template.metadata: ${key} is the operator's`);
  }
  const metadata = { name: 'cell', namespace: '', uid: '', annotations: annotations ?? {} };
  problems.push(...validate({ metadata, spec: group.template.spec }).map(each => `${at}.template.spec.${each}`));
  return problems;
}

function rolloutProblems({ rollout }: MegaRayClusterSpec): string[] {
  const problems = (['maxUnavailable', 'maxSurge'] as const).flatMap(field => {
    const amount = rollout?.[field];
    if (amount === undefined || cellsOf(amount, 100, Math.floor) !== undefined) return [];
    return [`rollout.${field}: a number of cells, or a percentage up to 100%, not ${amount}`];
  });
  const isNone = (amount: string | number) => /^0+%?$/.test(String(amount));
  if (isNone(rollout?.maxUnavailable ?? 1) && isNone(rollout?.maxSurge ?? 0)) {
    problems.push('rollout: with maxUnavailable and maxSurge both 0 nothing could ever be changed');
  }
  return problems;
}

function boundProblems({ replicas, cellGroups }: MegaRayClusterSpec): string[] {
  const sum = (of: (group: CellGroup) => number) => cellGroups.reduce((total, group) => total + of(group), 0);
  const [least, most] = [sum(each => each.minReplicas), sum(each => each.maxReplicas)];
  // 0 is taken for what it says: nothing, whatever the groups' bounds.
  if (replicas > 0 && replicas < least)
    return [`replicas: ${replicas} is below the groups' minReplicas, ${least} in all`];
  if (replicas > most) return [`replicas: ${replicas} is above the groups' maxReplicas, ${most} in all`];
  return [];
}
