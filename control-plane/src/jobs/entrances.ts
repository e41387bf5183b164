/**
 * The addresses at which the Ray Jobs API answers: the control plane's own, for all of a tenant's jobs, and that of each
 * Mega-Ray cluster, for those that are bound to it.
 */
import { api, type MegaClusterId, type TenantId } from '@iocloud/contracts';
import { Failure, type Queryable } from '../platform/index.js';
import { findJob } from './store.js';

/** What a job may name beside a cluster. */
export interface Mega {
  id: MegaClusterId;
  name: string;
}

/** A live Mega-Ray cluster of the tenant, by id or name. */
export type FindMega = (db: Queryable, tenantId: TenantId, reference: string) => Promise<Mega | null>;

export const plainRoutes = {
  version: api.rayVersion,
  list: api.rayListJobs,
  submit: api.raySubmitJob,
  get: api.rayGetJob,
  stop: api.rayStopJob,
  delete: api.rayDeleteJob,
  logs: api.rayJobLogs,
  tail: api.rayTailJobLogs,
  hasPackage: api.rayHasPackage,
  putPackage: api.rayPutPackage,
} as const;

export const megaRoutes = {
  version: api.megaRayVersion,
  list: api.megaRayListJobs,
  submit: api.megaRaySubmitJob,
  get: api.megaRayGetJob,
  stop: api.megaRayStopJob,
  delete: api.megaRayDeleteJob,
  logs: api.megaRayJobLogs,
  tail: api.megaRayTailJobLogs,
  hasPackage: api.megaRayHasPackage,
  putPackage: api.megaRayPutPackage,
} as const;

export type EntranceRoutes = typeof plainRoutes | typeof megaRoutes;
export const entrances: readonly EntranceRoutes[] = [plainRoutes, megaRoutes];

/** The Mega-Ray cluster at whose address a call came in; null: at the control plane's own. Throws Failure 'not-found'. */
export async function megaOfCall(
  db: Queryable,
  find: FindMega,
  tenantId: TenantId,
  params: unknown,
): Promise<Mega | null> {
  const reference = (params as { megaCluster?: string } | undefined)?.megaCluster;
  if (reference === undefined) return null;
  const mega = await find(db, tenantId, reference);
  if (!mega) throw new Failure('not-found', `no Mega-Ray cluster ${reference} exists`);
  return mega;
}

/** At the address of a Mega-Ray cluster there are only jobs that are bound to it. Throws Failure 'not-found'. */
export async function refuseForeign(
  db: Queryable,
  find: FindMega,
  tenantId: TenantId,
  params: { submissionId: string },
): Promise<void> {
  const mega = await megaOfCall(db, find, tenantId, params);
  if (mega === null) return;
  const job = await findJob(db, tenantId, params.submissionId);
  const { wanted_cluster: wanted = null } = job ?? {};
  if (wanted !== mega.id && wanted !== mega.name) {
    throw new Failure('not-found', `Job ${params.submissionId} does not exist`);
  }
}

/** The submission, bound to the Mega-Ray cluster at whose address it came in. Throws Failure 'bad-request'. */
export function boundTo(text: string, mega: Mega | null): string {
  if (mega === null) return text;
  const body = parsedObject(text);
  // What is no submission is refused by who reads it, in Ray's words.
  if (body === null || !isMetadata(body.metadata)) return text;
  const named = body.metadata?.['io.cluster'];
  if (named !== undefined && named !== mega.id && named !== mega.name) {
    throw new Failure(
      'bad-request',
      `ValueError: metadata key io.cluster: this is the address of ${mega.name}, not of ${named}`,
    );
  }
  return JSON.stringify({ ...body, metadata: { ...body.metadata, 'io.cluster': mega.id } });
}

function parsedObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isMetadata = (value: unknown): value is Record<string, unknown> | null | undefined =>
  value === undefined || value === null || isObject(value);
