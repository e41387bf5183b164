/** Dry runs of submissions, and why a job waits: what the scheduler would decide now, and what the machines offer. */
import { api, type Explanation, type JobId, nodeResources } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import type { JobQueue, QueuedJob } from '../core/queueing/index.js';
import { type Database, Failure, type Http } from '../platform/index.js';
import { parsed } from './admission.js';
import type { Dispatcher } from './dispatch.js';
import { nodeWant, readQueue, toQueued } from './scene.js';
import { findJob } from './store.js';

interface Wiring {
  database: Database;
  clusters: Clusters;
  dispatch: Dispatcher;
  /** Milliseconds since the epoch. */
  now(): number;
}

export function explainRoutes(http: Http, wiring: Wiring): void {
  http.handle(api.explainSubmission, async ({ caller, body }) => {
    const { needs, wantedCluster, scheduling } = parsed(JSON.stringify(body));
    return explain(wiring, {
      id: 'jb_dry_run' as JobId,
      tenantId: caller.tenantId,
      needs,
      wantedCluster,
      scheduling,
      submittedAtMs: wiring.now(),
      node: nodeWant(needs),
      spentMicroUsd: 0,
      memory: null,
    });
  });

  http.handle(api.explainJob, async ({ caller, params }) => {
    const job = await findJob(wiring.database, caller.tenantId, params.submissionId);
    if (!job) throw new Failure('not-found', `no job ${params.submissionId} exists`);
    if (job.phase !== 'queued') {
      throw new Failure('conflict', `${job.submission_id} is ${job.phase}: only a job that waits can be explained`);
    }
    const [asked] = toQueued([job]);
    if (!asked) throw new Error('one row makes one job');
    return explain(wiring, asked);
  });
}

/** Decided as the scheduler would just now, with all that waits and runs; then nothing of it is done. */
async function explain({ database, clusters, dispatch, now }: Wiring, asked: QueuedJob): Promise<Explanation> {
  const { id, tenantId, needs, wantedCluster } = asked;
  return database.transaction(async tx => {
    const others = toQueued(await readQueue(tx)).filter(job => job.id !== id);
    const { decisions, queue, scene } = await dispatch.decide(tx, [...others, asked]);
    const decision = decisions.find(({ jobId }) => jobId === id);
    if (decision?.kind === 'assign') {
      const name = scene.views.get(decision.clusterId)?.name ?? decision.clusterId;
      const startAt = new Date(now()).toISOString();
      const message = `Cluster ${name} runs it.`;
      return { ...bare, outcome: 'now', message, expectedStartAt: startAt, warmCluster: name };
    }
    const waits =
      decision?.kind === 'wait'
        ? { message: decision.message, expectedStartAt: expectedStart(queue, id, now()) }
        : null;
    if (waits && wantedCluster !== null) return { ...bare, outcome: 'later', ...waits };
    if ('impossible' in asked.node) {
      return { ...bare, outcome: 'never', message: `No Ray node can be so: ${asked.node.impossible}.` };
    }
    const node = nodeResources.parse(asked.node);
    const preempts = decision?.kind === 'provision' && decision.preempts;
    const explanation = await clusters.explainForJob(tx, tenantId, node, needs.requirements ?? {}, preempts);
    return waits && explanation.outcome !== 'never' ? { ...explanation, outcome: 'later', ...waits } : explanation;
  });
}

function expectedStart(queue: JobQueue, id: JobId, nowMs: number): string | null {
  const explained = queue.explain(id, nowMs);
  const startMs = 'refused' in explained ? null : explained.expectedStartMs;
  return startMs === null ? null : new Date(startMs).toISOString();
}

const bare = {
  expectedStartAt: null,
  constraints: [],
  alternatives: [],
  candidates: [],
  microUsdPerHour: null,
  warmCluster: null,
} satisfies Partial<Explanation>;
