/** Names and marks of MegaRayClusters and their cells. */
import type { RayClusterSpec } from '../../api/raycluster.js';
import type { Manifest, MegaRayCluster, OwnerReference } from '../kubernetes-objects.js';

export const megaApiVersion = 'mega.iocloud.io/v1alpha1';
export const megaKind = 'MegaRayCluster';
/** The Kubernetes cluster that the operator itself runs for. */
export const localCluster = 'local';

export const megaLabels = {
  cluster: 'mega.iocloud.io/cluster',
  /** In a member cluster nothing else tells a MegaRayCluster from an earlier one of its name. */
  uid: 'mega.iocloud.io/cluster-uid',
  group: 'mega.iocloud.io/cell-group',
  domain: 'mega.iocloud.io/domain',
} as const;

export const megaAnnotations = {
  /** Of what cannot be changed in a cell that lives: another value means that the cell has to be replaced. */
  templateHash: 'mega.iocloud.io/template-hash',
  /** Of all that the cell was applied with: another value means that it is applied again, in place. */
  appliedHash: 'mega.iocloud.io/applied-hash',
} as const;

/** Owner references end at a Kubernetes cluster: cells in members are deleted by the operator before the object goes. */
export const megaFinalizer = 'mega.iocloud.io/cells-in-members';

/** As long as the name of a RayCluster may be. */
const longestName = 52;

/** The beginning is kept, as it has a letter first; the suffix tells apart. */
export function cellName(cluster: string, group: string, suffix: string): string {
  const stem = `${cluster}-${group}`.slice(0, longestName - suffix.length - 1).replace(/-+$/, '');
  return `${stem}-${suffix}`;
}

export function ownedByMega({ metadata }: MegaRayCluster): OwnerReference {
  const { name, uid } = metadata;
  return { apiVersion: megaApiVersion, kind: megaKind, name, uid, controller: true, blockOwnerDeletion: true };
}

export interface CellManifest extends Manifest {
  spec: RayClusterSpec;
}
