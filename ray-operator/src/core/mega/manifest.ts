/** The RayCluster that a cell is: the group's template, its pods pinned to where the cell belongs. */
import type { CellGroup } from '../../api/megaraycluster.js';
import type { PodTemplate, RayClusterSpec } from '../../api/raycluster.js';
import type { MegaRayCluster } from '../kubernetes-objects.js';
import { canonical, type Hash, podSpecHash } from '../spec-hash.js';
import type { Cell, Place } from './cells.js';
import { type CellManifest, localCluster, megaAnnotations, megaLabels, ownedByMega } from './names.js';

export const defaultTopologyKey = 'topology.kubernetes.io/zone';

type Given = NonNullable<CellGroup['places']>[number];

/** Where cells of the group may be, in the order in which the spec names them. */
export function placesOf({ places }: CellGroup): Place[] {
  const given: Given[] = places?.length ? places : [{ kubernetesCluster: localCluster }];
  return given.flatMap(({ kubernetesCluster, domains }: Given): Place[] => {
    if (!domains?.length) return [{ kubernetesCluster, domain: undefined }];
    return domains.map(domain => ({ kubernetesCluster, domain }));
  });
}

/** What makes a cell another cell when it changes. Workers' numbers do not: those change in a cell that runs. */
export function cellTemplateHash(group: CellGroup, hash: Hash): string {
  const { nodeSelector, tolerations, affinity, topologyKey } = group;
  const placement = { nodeSelector, tolerations, affinity, topologyKey: topologyKey ?? defaultTopologyKey };
  return hash(canonical([podSpecHash(group.template.spec, hash), placement]));
}

export function cellManifest(
  mega: MegaRayCluster,
  group: CellGroup,
  cell: { name: string; place: Place },
  templateHash: string,
  hash: Hash,
): CellManifest {
  const { metadata, spec } = mega;
  const { kubernetesCluster, domain } = cell.place;
  const manifest: CellManifest = {
    apiVersion: 'ray.io/v1',
    kind: 'RayCluster',
    metadata: {
      name: cell.name,
      namespace: metadata.namespace,
      labels: {
        ...group.template.metadata?.labels,
        [megaLabels.cluster]: metadata.name,
        [megaLabels.uid]: metadata.uid,
        [megaLabels.group]: group.name,
        ...(domain === undefined ? {} : { [megaLabels.domain]: domain }),
      },
      annotations: { ...group.template.metadata?.annotations, [megaAnnotations.templateHash]: templateHash },
      ...(kubernetesCluster === localCluster ? { ownerReferences: [ownedByMega(mega)] } : {}),
    },
    spec: cellSpec(group, domain, spec.suspend === true),
  };
  return withAppliedHash(manifest, hash);
}

/** An outdated cell keeps what it was made of until its turn comes; what it can be told meanwhile is to rest. */
export function withSuspension(cell: Cell, suspend: boolean, hash: Hash): CellManifest | undefined {
  if (!cell.object || (cell.object.spec.suspend === true) === suspend) return undefined;
  const { name, namespace, labels, annotations, ownerReferences } = cell.object.metadata;
  const { [megaAnnotations.appliedHash]: _, ...marks } = annotations ?? {};
  return withAppliedHash(
    {
      apiVersion: 'ray.io/v1',
      kind: 'RayCluster',
      metadata: { name, namespace, labels: labels ?? {}, annotations: marks, ownerReferences: ownerReferences ?? [] },
      spec: { ...cell.object.spec, suspend },
    },
    hash,
  );
}

/** Without its name: alike for all cells of a place, so that it need not be worked out for each. */
function withAppliedHash(manifest: CellManifest, hash: Hash): CellManifest {
  const { metadata } = manifest;
  const nameless = { ...manifest, metadata: { ...metadata, name: '' } };
  const annotations = { ...metadata.annotations, [megaAnnotations.appliedHash]: hash(canonical(nameless)) };
  return { ...manifest, metadata: { ...metadata, annotations } };
}

function cellSpec(group: CellGroup, domain: string | undefined, suspend: boolean): RayClusterSpec {
  const { spec } = group.template;
  const pinned = (template: PodTemplate) => pinnedTemplate(template, group, domain);
  return {
    ...spec,
    suspend,
    headGroupSpec: { ...spec.headGroupSpec, template: pinned(spec.headGroupSpec.template) },
    ...(spec.workerGroupSpecs
      ? { workerGroupSpecs: spec.workerGroupSpecs.map(each => ({ ...each, template: pinned(each.template) })) }
      : {}),
  };
}

function pinnedTemplate(template: PodTemplate, group: CellGroup, domain: string | undefined): PodTemplate {
  const { nodeSelector, tolerations, affinity } = template.spec as Record<string, unknown>;
  const selector = {
    ...(nodeSelector as Record<string, string> | undefined),
    ...group.nodeSelector,
    ...(domain === undefined ? {} : { [group.topologyKey ?? defaultTopologyKey]: domain }),
  };
  const tolerated = [...((tolerations as unknown[] | undefined) ?? []), ...(group.tolerations ?? [])];
  const attraction = affinity ?? group.affinity;
  return {
    ...template,
    spec: {
      ...template.spec,
      ...(Object.keys(selector).length > 0 ? { nodeSelector: selector } : {}),
      ...(tolerated.length > 0 ? { tolerations: tolerated } : {}),
      ...(attraction ? { affinity: attraction } : {}),
    },
  };
}
