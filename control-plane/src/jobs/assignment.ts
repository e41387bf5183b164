/**
 * Gives jobs the places that the queue has decided on: an attempt for each, all of a run in a few statements, because a run
 * may be about thousands of jobs and no other one decides anything meanwhile.
 */
import { type AttemptId, type ClusterId, type LeaseId, newId } from '@iocloud/contracts';
import type { Clusters, ClusterView } from '../clusters/ports.js';
import type { JobDecision } from '../core/queueing/index.js';
import { type Transaction, wake, wakeAll } from '../platform/index.js';
import { insertAttempts, type NewAttempt, takeRaySubmissionIds } from './attempts/index.js';
import type { ReadScene } from './scene.js';
import { changeJobs, type JobRow, lockQueuedJobs, type RandomBytes, recordJobEvents } from './store.js';

type Decision = Extract<JobDecision, { kind: 'assign' }>;

interface Wiring {
  clusters: Clusters;
  random: RandomBytes;
}

/** A job and where it goes. */
interface Place {
  decision: Decision;
  job: JobRow;
  cluster: ClusterView;
  headLeaseId: LeaseId;
}

export async function assign(tx: Transaction, wiring: Wiring, decisions: Decision[], scene: ReadScene): Promise<void> {
  if (decisions.length === 0) return;
  const places = await stillThere(tx, wiring, decisions, scene);
  if (places.length === 0) return;
  const ids = await raySubmissionIds(tx, wiring.random, places);
  const attempts = places.map((place, index) => newAttempt(place, newId('attempt', wiring.random), ids[index] ?? ''));
  await insertAttempts(tx, attempts);
  await changeJobs(
    tx,
    places.map(({ job, cluster }) => ({
      row: job,
      changes: {
        phase: 'assigned' as const,
        cluster_id: cluster.id,
        attempt_count: job.attempt_count + 1,
        queue_memory: null,
        message: `Starting on cluster ${cluster.name}.`,
      },
    })),
  );
  await recordJobEvents(
    tx,
    places.map(({ job, cluster }) => ({
      job,
      reason: 'JobAssigned',
      message: `attempt ${job.attempt_count + 1} goes to cluster ${cluster.name}`,
    })),
  );
  await wakeAll(
    tx,
    'attempt',
    attempts.map(({ id }) => id),
  );
  // Where nothing ran, the idle time is over.
  const busy = new Set<ClusterId>([...scene.running, ...scene.others].map(({ clusterId }) => clusterId));
  const newlyBusy = new Set(places.map(({ cluster }) => cluster.id).filter(id => !busy.has(id)));
  await wakeAll(tx, 'cluster', [...newlyBusy]);
}

/** A job may have been stopped or deleted since it was read, and a cluster may have begun to end or have another head. */
async function stillThere(
  tx: Transaction,
  { clusters }: Wiring,
  decisions: Decision[],
  { views }: ReadScene,
): Promise<Place[]> {
  const queued = await lockQueuedJobs(
    tx,
    decisions.map(decision => decision.jobId),
  );
  const wanted = [...new Set(decisions.map(({ clusterId }) => clusterId))];
  const held = new Map((await clusters.hold(tx, wanted)).map(view => [view.id, view]));
  const open = decisions.flatMap(decision => {
    const job = queued.get(decision.jobId);
    const headLeaseId = views.get(decision.clusterId)?.headLeaseId;
    return job && headLeaseId ? [{ decision, job, headLeaseId, cluster: held.get(decision.clusterId) }] : [];
  });
  const places = open.flatMap(({ cluster, ...place }) =>
    cluster?.headLeaseId === place.headLeaseId ? [{ ...place, cluster }] : [],
  );
  if (places.length < open.length) await wake(tx, 'dispatch', 'all');
  return places;
}

/** The users' own ids where they are free, so that jobs are found on their cluster's dashboard. In the places' order. */
async function raySubmissionIds(tx: Transaction, random: RandomBytes, places: Place[]): Promise<string[]> {
  const take = async (among: Place[], idOf: (plain: string) => string) => {
    const ids = among.map(({ job }) => idOf(plainId(job)));
    const wanted = among.map(({ cluster }, index) => ({ clusterId: cluster.id, id: ids[index] ?? '' }));
    const free = await takeRaySubmissionIds(tx, wanted);
    return ids.map((id, index) => (free[index] ? id : null));
  };
  const plain = await take(places, id => id);
  const without = places.filter((_place, index) => plain[index] === null);
  const others = without.length === 0 ? [] : await take(without, id => `${id}-${random(4).toString('hex')}`);
  return plain.map((id, index) => {
    const taken = id ?? others.shift() ?? null;
    if (taken === null) throw new Error(`no free submission id for job ${places[index]?.job.id}`);
    return taken;
  });
}

const plainId = ({ submission_id: id, attempt_count: before }: JobRow) => (before === 0 ? id : `${id}.${before + 1}`);

function newAttempt(
  { decision, job, cluster, headLeaseId }: Place,
  id: AttemptId,
  raySubmissionId: string,
): NewAttempt {
  const { reserve, microUsdPerHour, stopAtMs } = decision;
  const { preemptible, expectedSeconds } = job.scheduling;
  return {
    id,
    jobId: job.id,
    number: job.attempt_count + 1,
    clusterId: cluster.id,
    headLeaseId,
    raySubmissionId,
    reserved: reserve,
    microUsdPerHour,
    stopAt: stopAtMs === null ? null : new Date(stopAtMs),
    steerable: preemptible || expectedSeconds !== null || stopAtMs !== null,
  };
}
