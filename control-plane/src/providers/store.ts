/** The rows of providers, and which pod runs which lease. */
import {
  type AddProvider,
  addProvider,
  type KubernetesCredentials,
  type LeaseId,
  type NodeTerms,
  type Provider,
  type ProviderId,
  type TenantId,
  unprovenOfKubernetes,
} from '@iocloud/contracts';
import { z } from 'zod';
import { Failure, type Queryable, type Seal, type Transaction } from '../platform/index.js';

export interface ProviderRow {
  id: ProviderId;
  tenant_id: TenantId;
  name: string;
  server: string | null;
  sealed_access: Buffer;
  namespace: string;
  image: string;
  node_selector: string;
  shared: boolean;
  terms: Partial<NodeTerms>;
  state: Provider['state'];
  message: string;
  kubernetes_version: string;
  lacking: string[];
  heard_at: Date | null;
  serial: number;
  created_at: Date;
}

/** What is sealed; null: the account of the pod that the control plane runs in. */
export type Access = {
  server: string;
  certificateAuthority?: string | undefined;
  credentials: KubernetesCredentials;
} | null;

const accessShape = addProvider.shape.access.nullable();
export const openAccess = (row: Pick<ProviderRow, 'id' | 'sealed_access'>, seal: Seal): Access =>
  z.preprocess(value => value, accessShape).parse(JSON.parse(seal.open(row.sealed_access, row.id))) ?? null;

export async function insertProvider(
  tx: Transaction,
  given: AddProvider & { id: ProviderId; tenantId: TenantId; kubernetesVersion: string },
  seal: Seal,
): Promise<ProviderRow> {
  const { microUsdPerGpuHour, microUsdPerCpuHour } = given;
  const { rows } = await tx.query<ProviderRow>(
    `INSERT INTO providers (id, tenant_id, kind, name, server, sealed_access, namespace, image, node_selector, shared, terms,
       kubernetes_version)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING RETURNING *`,
    [
      given.id,
      given.tenantId,
      given.kind,
      given.name,
      given.access?.server ?? null,
      seal.seal(JSON.stringify(given.access ?? null), given.id),
      given.namespace,
      given.image,
      given.nodeSelector,
      given.shared,
      JSON.stringify({ microUsdPerGpuHour, microUsdPerCpuHour }),
      given.kubernetesVersion,
    ],
  );
  if (!rows[0]) throw new Failure('already-exists', `a provider named ${given.name} exists; choose another name`);
  return rows[0];
}

export async function getProvider(db: Queryable, tenantId: TenantId, id: ProviderId): Promise<ProviderRow> {
  const { rows } = await db.query<ProviderRow>(
    'SELECT * FROM providers WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL',
    [tenantId, id],
  );
  if (!rows[0]) throw new Failure('not-found', `no provider ${id}; \`iocloud provider list\` shows yours`);
  return rows[0];
}

export async function listProviders(db: Queryable, tenantId: TenantId | null): Promise<ProviderRow[]> {
  const { rows } = await db.query<ProviderRow>(
    'SELECT * FROM providers WHERE ($1::text IS NULL OR tenant_id = $1) AND removed_at IS NULL ORDER BY created_at, id',
    [tenantId],
  );
  return rows;
}

export async function markRemoved(tx: Transaction, id: ProviderId): Promise<void> {
  await tx.query('UPDATE providers SET removed_at = now() WHERE id = $1', [id]);
}

/** `state` is told with what it is of: a row that says so already is left alone but for the time. */
export async function noteState(
  db: Queryable,
  id: ProviderId,
  seen: { state: Provider['state']; message: string; kubernetesVersion?: string; lacking?: string[] },
): Promise<void> {
  await db.query(
    `UPDATE providers SET state = $2, message = $3, kubernetes_version = coalesce($4, kubernetes_version),
       lacking = coalesce($5, lacking), heard_at = CASE WHEN $2 = 'connected' THEN now() ELSE heard_at END WHERE id = $1`,
    [id, seen.state, seen.message, seen.kubernetesVersion ?? null, seen.lacking ? JSON.stringify(seen.lacking) : null],
  );
}

export async function toProviders(db: Queryable, rows: ProviderRow[]): Promise<Provider[]> {
  const { rows: counts } = await db.query<{ provider_id: ProviderId; count: number }>(
    `SELECT provider_id, count(*)::int AS count FROM nodes WHERE provider_id = ANY($1) AND removed_at IS NULL
     GROUP BY provider_id`,
    [rows.map(row => row.id)],
  );
  return rows.map(row => ({
    id: row.id,
    kind: 'kubernetes',
    name: row.name,
    server: row.server,
    namespace: row.namespace,
    image: row.image,
    nodeSelector: row.node_selector,
    shared: row.shared,
    state: row.state,
    message: row.message,
    kubernetesVersion: row.kubernetes_version,
    lacking: row.lacking,
    machines: counts.find(count => count.provider_id === row.id)?.count ?? 0,
    unproven: unprovenOfKubernetes,
    heardAt: row.heard_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
  }));
}

/** The one pod that runs a lease, or ran it. */
export interface LeasePod {
  /** Null: none ever came. */
  pod: { name: string; uid: string } | null;
  /** Why it has ended for good. */
  ended: string | null;
}

export async function leasePods(db: Queryable, leaseIds: LeaseId[]): Promise<Map<LeaseId, LeasePod>> {
  const { rows } = await db.query<{
    lease_id: LeaseId;
    pod_name: string | null;
    pod_uid: string | null;
    ended: string | null;
  }>({
    name: 'lease-pods',
    text: 'SELECT lease_id, pod_name, pod_uid, ended FROM lease_pods WHERE lease_id = ANY($1)',
    values: [leaseIds],
  });
  return new Map(
    rows.map(row => [
      row.lease_id,
      {
        pod: row.pod_name !== null && row.pod_uid !== null ? { name: row.pod_name, uid: row.pod_uid } : null,
        ended: row.ended,
      },
    ]),
  );
}

/** The first pod that is named stays the one. */
export async function notePod(
  db: Queryable,
  providerId: ProviderId,
  leaseId: LeaseId,
  pod: { name: string; uid: string },
): Promise<void> {
  await db.query(
    `INSERT INTO lease_pods (lease_id, provider_id, pod_name, pod_uid) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
    [leaseId, providerId, pod.name, pod.uid],
  );
}

export async function noteEnd(db: Queryable, providerId: ProviderId, leaseId: LeaseId, why: string): Promise<void> {
  await db.query(
    `INSERT INTO lease_pods (lease_id, provider_id, ended) VALUES ($1, $2, $3)
     ON CONFLICT (lease_id) DO UPDATE SET ended = coalesce(lease_pods.ended, excluded.ended)`,
    [leaseId, providerId, why],
  );
}

/** Which provider's machine this is, and the pod of a lease there. */
export async function providerOf(db: Queryable, nodeId: string): Promise<ProviderId | null> {
  const { rows } = await db.query<{ provider_id: ProviderId | null }>({
    name: 'provider-of-machine',
    text: 'SELECT provider_id FROM nodes WHERE id = $1 AND removed_at IS NULL',
    values: [nodeId],
  });
  return rows[0]?.provider_id ?? null;
}
