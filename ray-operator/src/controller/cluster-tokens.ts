/**
 * Ray's token of each cluster, without a right to read Secrets: the tokens that the operator makes follow from the
 * cluster's uid and one key of the operator's own, the only Secret that its role lets it read. A token that a user
 * brings can be read only where the user grants that.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { tokenSecretName, usesTokens } from '../core/authentication.js';
import type { RayCluster } from '../core/kubernetes-objects.js';
import { tokenKey } from '../core/names.js';
import { ApiError, isAlreadyThere, isNotFound } from '../kubernetes/api-error.js';
import type { KubernetesClient } from '../kubernetes/client.js';
import { objectPath, resources } from '../kubernetes/resources.js';

interface Secret {
  data?: Record<string, string>;
}

const field = 'key';
/** A token that a user changes is noticed after so long. */
const keptMs = 60_000;

export class ClusterTokens {
  private readonly given = new Map<string, { token: string; until: number }>();

  private constructor(
    private readonly client: KubernetesClient,
    private readonly key: Buffer,
  ) {}

  /** With the key in the operator's namespace, made if there is none yet. */
  static async load(client: KubernetesClient, namespace: string, name: string, signal: AbortSignal) {
    const read = () => client.get<Secret>(objectPath(resources.secrets, namespace, name), {}, signal);
    const secret = await read().catch(async (error: unknown) => {
      if (!isNotFound(error)) throw error;
      const stringData = { [field]: randomBytes(32).toString('hex') };
      const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: 'Opaque', stringData };
      return client.create<Secret>(resources.secrets, manifest, signal).catch((late: unknown) => {
        if (isAlreadyThere(late)) return read();
        throw late;
      });
    });
    const key = decoded(secret.data?.[field]);
    if (!/^[0-9a-f]{64}$/.test(key)) throw new Error(`the Secret ${namespace}/${name} has no key of 64 hex digits`);
    return new ClusterTokens(client, Buffer.from(key, 'hex'));
  }

  /** Of a cluster that brings none: the same as long as the cluster lives, and of no other. */
  made({ metadata }: RayCluster): string {
    return createHmac('sha256', this.key).update(`ray-token/${metadata.uid}`).digest('hex');
  }

  /** `undefined` where Ray asks for none. */
  async of(cluster: RayCluster, signal: AbortSignal): Promise<string | undefined> {
    if (!usesTokens(cluster.spec)) return undefined;
    if (!cluster.spec.authOptions?.secretName) return this.made(cluster);
    const path = objectPath(resources.secrets, cluster.metadata.namespace, tokenSecretName(cluster));
    const known = this.given.get(path);
    if (known && known.until > Date.now()) return known.token;
    const secret = await this.client.get<Secret>(path, {}, signal).catch((error: unknown) => {
      if (!(error instanceof ApiError) || error.status !== 403) throw error;
      const name = tokenSecretName(cluster);
      throw new Error(`the operator may not read the Secret ${name}: a Role has to grant it "get" on this name`);
    });
    const token = decoded(secret.data?.[tokenKey]);
    this.given.set(path, { token, until: Date.now() + keptMs });
    return token;
  }
}

const decoded = (text = '') => Buffer.from(text, 'base64').toString().trim();
