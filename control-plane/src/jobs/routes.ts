/** The Ray Jobs API: submit, list, show, stop, delete. Answers as a Ray head does, but without its tracebacks. */
import type { IncomingMessage } from 'node:http';
import { api, type TenantId } from '@iocloud/contracts';
import type { Response } from 'express';
import type { Clusters } from '../clusters/ports.js';
import { parseTraceParent, traceParent } from '../core/tracing/index.js';
import { addIds, type Database, Failure, type Http, type Logger, type Signals, wake } from '../platform/index.js';
import { admit } from './admission.js';
import type { Checkpoints } from './checkpoints.js';
import type { Heads } from './head.js';
import { JobIntake } from './intake.js';
import { JobList } from './job-list.js';
import type { QuotaGate } from './quota-gate.js';
import { isTerminal, nextJobPhase } from './states.js';
import {
  changeJob,
  deleteJob,
  findJob,
  findRayView,
  type JobRow,
  lockJob,
  type RandomBytes,
  recordJobEvent,
} from './store.js';
import { newSubmissionId, packageNames } from './submission.js';
import { submitSpan, type TellSpans } from './tracing.js';

interface Wiring {
  database: Database;
  clusters: Clusters;
  quotas: QuotaGate;
  heads: Heads;
  checkpoints: Checkpoints;
  signals: Signals;
  log: Logger;
  random: RandomBytes;
  now(): number;
  tellSpans: TellSpans;
  version: { version: string; ray_version: string; ray_commit: string; session_name: string };
}

/** A submission names its files, it does not carry them. */
const maxBodyBytes = 8 * 2 ** 20;

export function rayJobRoutes(http: Http, wiring: Wiring): void {
  const { database, signals } = wiring;
  const intake = new JobIntake(wiring);
  const list = new JobList(database);

  http.handle(api.rayVersion, async () => wiring.version);

  http.handle(api.rayListJobs, async ({ caller, response }) => {
    sendJson(response, await list.of(caller.tenantId));
    return undefined as never;
  });

  http.handle(api.rayGetJob, async ({ caller, params, response }) => {
    const view = await findRayView(database, caller.tenantId, params.submissionId);
    if (view === null) throw unknownJob(params.submissionId);
    sendJson(response, view);
    return undefined as never;
  });

  http.handle(api.raySubmitJob, async ({ caller, request, response }) => {
    const startedAt = new Date();
    const given = parseTraceParent(request.get('traceparent') ?? '');
    const submission = await admit(wiring, caller.tenantId, await readText(request));
    const submissionId = submission.submissionId ?? newSubmissionId(wiring.random);
    const packages = packageNames(submission.runtimeEnv);
    const traceParentGiven = given && traceParent(given);
    const jobId = await intake.take({
      ...{ tenantId: caller.tenantId, submissionId, submission, packages, traceParent: traceParentGiven },
    });
    if (jobId === null) {
      throw new Failure(
        'bad-request',
        `ValueError: Job with submission_id ${submissionId} already exists. Please use a different submission_id.`,
      );
    }
    const span = submitSpan({ id: jobId, trace_parent: traceParentGiven }, caller.tenantId, submissionId, startedAt);
    addIds({ trace_id: span.traceId, job: jobId, submission_id: submissionId });
    response.set('traceparent', traceParent({ traceId: span.traceId, parentId: span.parentId }));
    wiring.tellSpans([span]);
    wiring.log.debug('a job was taken in');
    return { job_id: submissionId, submission_id: submissionId };
  });

  http.handle(api.rayStopJob, async ({ caller, params }) => {
    const stopped = await stopJob(wiring, caller.tenantId, params.submissionId);
    return { stopped };
  });

  http.handle(api.rayDeleteJob, async ({ caller, params }) => {
    const job = await mustFind(wiring, caller.tenantId, params.submissionId);
    const copies = await database.transaction(async tx => {
      const row = await lockJob(tx, job.id);
      if (!row) throw unknownJob(params.submissionId);
      if (!isTerminal(row.phase)) {
        const { status } = JSON.parse((await findRayView(tx, caller.tenantId, row.submission_id)) ?? '{}');
        throw new RayRefusal(
          `RuntimeError: Attempted to delete job '${row.submission_id}', but it is in a non-terminal state ${status}.`,
        );
      }
      const { rows } = await tx.query<Copy>(
        'SELECT cluster_id, ray_submission_id FROM job_attempts WHERE job_id = $1',
        [row.id],
      );
      await deleteJob(tx, row.id);
      await recordJobEvent(tx, row, 'JobDeleted', `${caller.userId} deleted the job and its log`);
      return rows;
    });
    signals.send(`events:${caller.tenantId}`);
    await wiring.checkpoints.remove(job);
    void deleteOnHeads(wiring, caller.tenantId, copies);
    return { deleted: true };
  });
}

/** Ray answers this with status 500; it is the client's fault all the same. */
class RayRefusal extends Failure {
  constructor(text: string) {
    super('conflict', text);
  }
  override get status(): number {
    return 500;
  }
}

interface Copy {
  cluster_id: Parameters<Heads['delete']>[0];
  ray_submission_id: string;
}

const unknownJob = (id: string) => new Failure('not-found', `Job ${id} does not exist`);

async function mustFind(wiring: Wiring, tenantId: TenantId, id: string): Promise<JobRow> {
  const job = await findJob(wiring.database, tenantId, id);
  if (!job) throw unknownJob(id);
  return job;
}

/** False when it had ended already, as Ray answers it. */
async function stopJob(wiring: Wiring, tenantId: TenantId, id: string): Promise<boolean> {
  const found = await mustFind(wiring, tenantId, id);
  const now = new Date(wiring.now());
  const stopped = await wiring.database.transaction(async tx => {
    const job = await lockJob(tx, found.id);
    if (!job) throw unknownJob(id);
    const phase = nextJobPhase(job.phase, 'stop');
    if (phase === null) return false;
    if (phase === job.phase) return true;
    if (phase === 'stopped') {
      await changeJob(tx, job, { phase, message: 'Job was intentionally stopped.', ended_at: now });
      await recordJobEvent(tx, job, 'JobStopped', 'stopped while it waited in the queue');
      await wake(tx, 'dispatch', 'all');
      return true;
    }
    await changeJob(tx, job, { phase });
    await recordJobEvent(tx, job, 'JobStopping', 'is being stopped');
    const { rows } = await tx.query<{ id: string }>(
      `SELECT id FROM job_attempts WHERE job_id = $1 AND phase <> 'ended'`,
      [job.id],
    );
    for (const attempt of rows) await wake(tx, 'attempt', attempt.id);
    return true;
  });
  wiring.signals.send(`job:${found.id}`);
  wiring.signals.send(`log:${found.id}`);
  wiring.signals.send(`events:${tenantId}`);
  return stopped;
}

/**
 * What the heads still list of a job that was deleted here. Only for show: no id is used twice on a cluster, so what is
 * left there harms nothing.
 */
async function deleteOnHeads(wiring: Wiring, tenantId: TenantId, copies: Copy[]): Promise<void> {
  try {
    const live = new Set((await wiring.clusters.live(wiring.database, tenantId)).map(({ id }) => id));
    for (const copy of copies) {
      if (live.has(copy.cluster_id)) await wiring.heads.delete(copy.cluster_id, copy.ray_submission_id);
    }
  } catch (error) {
    wiring.log.debug({ error: String(error) }, 'a deleted job stays in the list of its head');
  }
}

function sendJson(response: Response, json: string | Buffer): void {
  const body = typeof json === 'string' ? Buffer.from(json) : json;
  response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': body.length });
  response.end(body);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      throw new Failure('payload-too-large', `the submission is larger than ${maxBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
