/** Ray's token authentication: on unless it is switched off, or the Ray that the spec names is too old for it. */
import type { RayClusterSpec } from '../api/raycluster.js';
import type { Manifest, RayCluster } from './kubernetes-objects.js';
import { commonLabels, ownedBy, tokenKey } from './names.js';

const firstVersion = [2, 52] as const;

/** `undefined` for a version of which one cannot tell, as a tag of one's own. */
export function supportsTokens(rayVersion: string | undefined): boolean | undefined {
  const match = /^(\d+)\.(\d+)/.exec(rayVersion ?? '');
  if (!match) return undefined;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > firstVersion[0] || (major === firstVersion[0] && minor >= firstVersion[1]);
}

export function usesTokens(spec: RayClusterSpec): boolean {
  if (spec.authOptions?.mode) return spec.authOptions.mode === 'token';
  return supportsTokens(spec.rayVersion) !== false;
}

export const tokenSecretName = (cluster: RayCluster) => cluster.spec.authOptions?.secretName ?? cluster.metadata.name;

/** Made once and never changed; a Secret that the user names is the user's. */
export function tokenSecret(cluster: RayCluster, newToken: () => string): Manifest | undefined {
  if (!usesTokens(cluster.spec) || cluster.spec.authOptions?.secretName) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: tokenSecretName(cluster),
      namespace: cluster.metadata.namespace,
      labels: commonLabels(cluster),
      ownerReferences: [ownedBy(cluster)],
    },
    type: 'Opaque',
    stringData: { [tokenKey]: newToken() },
  };
}
