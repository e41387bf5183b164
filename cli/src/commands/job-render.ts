/** Jobs in words and tables. Pure. */
import type { Job } from '@iocloud/contracts';
import { age, bytes, duration, facts, oneLine, table } from '../output.js';

const ran = (job: Job, nowMs: number) =>
  job.startedAt === null ? '-' : duration((job.endedAt ? Date.parse(job.endedAt) : nowMs) - Date.parse(job.startedAt));

/** Of an array: how many of its indices have succeeded. */
const phaseOf = ({ phase, array }: Job) => (array ? `${phase} ${array.counts.succeeded}/${array.size}` : phase);

export function jobTable(jobs: readonly Job[], nowMs: number, address: string): string {
  if (jobs.length === 0) {
    return [
      'no jobs yet. Submit one with the Ray client:',
      `  ray job submit --address ${address} --working-dir . -- python main.py`,
      'no cluster need exist: one comes up for it.',
    ].join('\n');
  }
  return table(
    ['job', 'phase', 'attempts', 'cluster', 'age', 'ran', 'entrypoint'],
    jobs.map(job => [
      job.submissionId,
      phaseOf(job),
      String(job.attempts.length),
      job.clusterId ?? '-',
      age(job.submittedAt, nowMs),
      ran(job, nowMs),
      oneLine(job.entrypoint, 48),
    ]),
  );
}

function arrayFacts({ size, maxParallel, counts }: NonNullable<Job['array']>): [string, string][] {
  const states = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  const most: [string, string][] = maxParallel === null ? [] : [['at once', `${maxParallel} indices at most`]];
  return [['array', `${size} indices: ${states.join(', ')}`], ...most];
}

export function jobDetails(job: Job, nowMs: number): string {
  const parts = [
    facts([
      ['job', job.submissionId],
      ['phase', `${job.phase} (${job.status} to Ray's client)`],
      ['message', job.message ?? ''],
      ...(job.retryAt === null ? [] : [['runs again', `from ${job.retryAt} on`] as const]),
      ['entrypoint', job.entrypoint],
      ...(job.array ? arrayFacts(job.array) : [['cluster', job.clusterId ?? 'none yet'] as const]),
      ['submitted', `${age(job.submittedAt, nowMs)} ago`],
      ['ran', ran(job, nowMs)],
      ...Object.entries(job.metadata).map(([key, value]) => [`metadata ${key}`, value] as const),
    ]),
  ];
  if (job.attempts.length > 0) {
    parts.push(
      table(
        ['attempt', 'phase', 'outcome', 'cluster', 'log', 'ran', 'message'],
        job.attempts.map(attempt => [
          String(attempt.number),
          attempt.phase,
          attempt.outcome ?? '-',
          attempt.clusterId,
          bytes(attempt.logBytes),
          duration((attempt.endedAt ? Date.parse(attempt.endedAt) : nowMs) - Date.parse(attempt.startedAt)),
          attempt.message ?? '',
        ]),
      ),
    );
  }
  const { submissionId: id } = job;
  if (job.array) parts.push(`its indices: iocloud job list --array ${id}`);
  parts.push(`its log: iocloud job logs ${id}${job.array ? ` (of one index: ${id}/0)` : ''}`);
  return parts.join('\n\n');
}
