/** Dry runs of submissions, and why a job waits: what dispatch would decide for it alone, and what the machines offer. */
import { api, type ClusterId, type Explanation, type JobId, type TenantId } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import { type Needs, plan } from '../core/queueing/index.js';
import { type Database, Failure, type Http } from '../platform/index.js';
import { parsed } from './admission.js';
import type { Dispatcher } from './dispatch.js';
import { nodeFor } from './needs.js';
import { findJob } from './store.js';

interface Wiring {
  database: Database;
  clusters: Clusters;
  dispatch: Dispatcher;
  /** Milliseconds since the epoch. */
  now(): number;
}

interface Asked {
  tenantId: TenantId;
  needs: Needs;
  wantedCluster: string | null;
}

export function explainRoutes(http: Http, wiring: Wiring): void {
  http.handle(api.explainSubmission, async ({ caller, body }) => {
    const { needs, wantedCluster } = parsed(JSON.stringify(body));
    return explain(wiring, { tenantId: caller.tenantId, needs, wantedCluster });
  });

  http.handle(api.explainJob, async ({ caller, params }) => {
    const job = await findJob(wiring.database, caller.tenantId, params.submissionId);
    if (!job) throw new Failure('not-found', `no job ${params.submissionId} exists`);
    if (job.phase !== 'queued') {
      throw new Failure('conflict', `${job.submission_id} is ${job.phase}: only a job that waits can be explained`);
    }
    const { tenant_id: tenantId, needs, wanted_cluster: wantedCluster } = job;
    return explain(wiring, { tenantId, needs, wantedCluster });
  });
}

async function explain({ database, clusters, dispatch, now }: Wiring, asked: Asked): Promise<Explanation> {
  const { tenantId, needs, wantedCluster } = asked;
  return database.transaction(async tx => {
    const own = (await dispatch.clusters(tx, needs.requirements !== undefined)).filter(
      cluster => cluster.tenantId === tenantId,
    );
    const [decision] = plan([{ id: 'jb_dry_run' as JobId, tenantId, needs, wantedCluster }], own, dispatch.options);
    const named = (id: ClusterId) => own.find(cluster => cluster.id === id)?.name ?? id;
    if (decision?.kind === 'assign') {
      const name = named(decision.clusterId);
      const startAt = new Date(now()).toISOString();
      return {
        ...bare,
        outcome: 'now',
        message: `Cluster ${name} runs it.`,
        expectedStartAt: startAt,
        warmCluster: name,
      };
    }
    if (decision?.kind === 'wait' && wantedCluster !== null) {
      return { ...bare, outcome: 'later', message: decision.message };
    }
    const node = nodeFor(needs);
    if (!node.success) {
      const [issue] = node.error.issues;
      return {
        ...bare,
        outcome: 'never',
        message: `No Ray node can be so: ${issue?.path.join('.')}: ${issue?.message}.`,
      };
    }
    const explanation = await clusters.explainForJob(tx, tenantId, node.data, needs.requirements ?? {});
    return decision?.kind === 'wait' && explanation.outcome === 'now'
      ? { ...explanation, outcome: 'later', message: decision.message, expectedStartAt: null }
      : explanation;
  });
}

const bare = {
  expectedStartAt: null,
  constraints: [],
  alternatives: [],
  candidates: [],
  microUsdPerHour: null,
  warmCluster: null,
} satisfies Partial<Explanation>;
