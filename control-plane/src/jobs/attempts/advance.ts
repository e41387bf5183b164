/**
 * An attempt that its head has accepted, or that runs there. Very many may come that far at the same time: those that do
 * while others are being written are written together, in one transaction.
 */
import type { RayJobDetails } from '@iocloud/contracts';
import { type Database, together } from '../../platform/index.js';
import { countMigrations } from '../metrics.js';
import { factsOf } from '../ray-view.js';
import { nextAttemptPhase, nextJobPhase } from '../states.js';
import { changeJobs, type JobRow, lockJobs, recordJobEvents } from '../store.js';
import { type AttemptRow, lockAttempts } from './store.js';

interface Advance {
  attempt: AttemptRow;
  event: 'accepted' | 'started';
  details: RayJobDetails | null;
  now: Date;
}

const advanceTogether = together(
  (db: Database, advances: Advance[]): Promise<boolean[]> =>
    db.transaction(async tx => {
      const jobs = await lockJobs(
        tx,
        advances.map(({ attempt }) => attempt.job_id),
      );
      const attempts = await lockAttempts(
        tx,
        advances.map(({ attempt }) => attempt.id),
      );
      const moves = advances.map(advance => {
        const job = jobs.get(advance.attempt.job_id);
        const current = attempts.get(advance.attempt.id);
        const phase = current ? nextAttemptPhase(current.phase, advance.event) : null;
        return job && phase !== null ? { ...advance, job, phase } : null;
      });
      const made = moves.filter(move => move !== null);
      if (made.length === 0) return moves.map(() => false);
      await tx.query({
        name: 'advance-attempts',
        text: `UPDATE job_attempts SET phase = n.phase,
                 running_at = coalesce(running_at, CASE WHEN n.phase = 'running' THEN n.at END)
               FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (id, phase, at) WHERE job_attempts.id = n.id`,
        values: [made.map(({ attempt }) => attempt.id), made.map(({ phase }) => phase), made.map(({ now }) => now)],
      });
      await changeJobs(
        tx,
        made.map(move => ({ row: move.job, changes: changesOf(move.job, move) })),
      );
      const begun = made.filter(({ event, job }) => event === 'started' && beginsNow(job));
      await countMigrations(tx, begun);
      await recordJobEvents(
        tx,
        begun.map(({ job, attempt }) => ({
          job,
          reason: 'JobStarted',
          message: `attempt ${attempt.number} runs on ${attempt.cluster_id}`,
        })),
      );
      return moves.map(move => move !== null);
    }),
);

/** False when the attempt has ended meanwhile. */
export const advanceAttempt = (
  db: Database,
  attempt: AttemptRow,
  event: Advance['event'],
  details: RayJobDetails | null,
  now: Date,
): Promise<boolean> => advanceTogether(db, { attempt, event, details, now });

const beginsNow = ({ phase }: JobRow) => phase === 'assigned' && nextJobPhase(phase, 'start') === 'running';

function changesOf(job: JobRow, { event, details, now }: Advance) {
  const facts = details ? factsOf(details) : job.ray_facts;
  const phase = event === 'started' ? nextJobPhase(job.phase, 'start') : null;
  return {
    phase: phase ?? job.phase,
    ray_facts: facts,
    ray_job_id: facts?.job_id ?? job.ray_job_id,
    ...(details?.message && job.phase !== 'stopping' ? { message: details.message } : {}),
    ...(event === 'started' ? { started_at: job.started_at ?? now } : {}),
  };
}
