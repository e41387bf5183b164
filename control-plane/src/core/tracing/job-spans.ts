/**
 * What became of a job as spans, from what is on record: any replica can tell of any job, also after a crash, and tells the
 * same again under the same ids. A span is told once it has come to its end. Pure.
 */
import { idsOf } from './trace-context.js';

export interface AttemptFacts {
  id: string;
  number: number;
  clusterId: string;
  nodeId: string | null;
  assignedAt: Date;
  sentAt: Date | null;
  runningAt: Date | null;
  endedAt: Date | null;
  outcome: string | null;
  message: string | null;
  evictCause: string | null;
  /** Of the cluster and of the head that it runs on. */
  cluster: { createdAt: Date; readyAt: Date | null; origin: string };
  head: { id: string; createdAt: Date; readyAt: Date | null } | null;
}

export interface JobFacts {
  id: string;
  tenantId: string;
  submissionId: string;
  priority: string;
  traceId: string;
  /** Null: the trace begins with the job. */
  parentId: string | null;
  submittedAt: Date;
  endedAt: Date | null;
  phase: string;
  message: string;
  attempts: AttemptFacts[];
}

export interface JobSpan {
  /** Of whom it is told. */
  service: 'iocloud-control-plane' | 'iocloud-agent' | 'ray';
  name: string;
  traceId: string;
  spanId: string;
  parentId: string | null;
  startedAt: Date;
  endedAt: Date;
  failed: string | null;
  attributes: Record<string, string | number>;
}

/** What has just happened: spans that end with it are told. */
export type SpansWhen = 'assigned' | 'running' | 'attemptEnded' | 'jobEnded';

/** Spans that end with what has happened to the job's last attempt, or to the job. */
export function spansOf(facts: JobFacts, when: SpansWhen, hash: (text: string) => string): JobSpan[] {
  const { traceId } = facts;
  const id = (part: string) => idsOf(hash, `${facts.id} ${part}`).spanId;
  const common = {
    'iocloud.job': facts.id,
    'iocloud.submission_id': facts.submissionId,
    'iocloud.tenant': facts.tenantId,
  };
  const root = id('job');
  if (when === 'jobEnded') {
    if (facts.endedAt === null) return [];
    return [
      {
        service: 'iocloud-control-plane',
        name: 'job',
        traceId,
        spanId: root,
        parentId: facts.parentId,
        startedAt: facts.submittedAt,
        endedAt: facts.endedAt,
        failed: facts.phase === 'failed' ? facts.message : null,
        attributes: {
          ...common,
          'iocloud.priority': facts.priority,
          'iocloud.outcome': facts.phase,
          'iocloud.attempts': facts.attempts.length,
        },
      },
    ];
  }
  const attempt = facts.attempts.at(-1);
  if (!attempt) return [];
  const before = facts.attempts.at(-2);
  const nth = `attempt ${attempt.number}`;
  const attributes = {
    ...common,
    'iocloud.attempt': attempt.number,
    'iocloud.cluster': attempt.clusterId,
    ...(attempt.nodeId ? { 'iocloud.node': attempt.nodeId } : {}),
  };
  const span = (
    name: string,
    parentId: string,
    startedAt: Date,
    endedAt: Date | null,
    more: Partial<JobSpan> = {},
  ): JobSpan[] => {
    if (endedAt === null) return [];
    // Clocks of machines differ, and what is on record is not to the millisecond.
    const end = endedAt < startedAt ? startedAt : endedAt;
    const told = { service: 'iocloud-control-plane' as const, failed: null, attributes, ...more };
    return [{ ...told, name, traceId, spanId: id(`${nth} ${name}`), parentId, startedAt, endedAt: end }];
  };
  const own = id(`${nth} attempt`);
  if (when === 'assigned') {
    const waitedFrom = before?.endedAt ?? facts.submittedAt;
    return span('queue', root, waitedFrom, attempt.assignedAt);
  }
  if (when === 'running') {
    const waitedFrom = before?.endedAt ?? facts.submittedAt;
    const { cluster, head } = attempt;
    // A cluster that was there before the job waited has cost it no time.
    const isNew = cluster.createdAt >= waitedFrom;
    return [
      ...(isNew ? span('provision cluster', root, cluster.createdAt, cluster.readyAt) : []),
      ...(isNew && head ? span('place', id(`${nth} provision cluster`), cluster.createdAt, head.createdAt) : []),
      ...(isNew && head
        ? span('start Ray', id(`${nth} provision cluster`), head.createdAt, head.readyAt, { service: 'iocloud-agent' })
        : []),
      ...span('hand over', own, attempt.assignedAt, attempt.sentAt),
      ...span('start driver', own, attempt.sentAt ?? attempt.assignedAt, attempt.runningAt, { service: 'ray' }),
    ];
  }
  const failed =
    attempt.outcome === 'failed' || attempt.outcome === 'lost' ? (attempt.message ?? attempt.outcome) : null;
  const outcome = {
    ...attributes,
    'iocloud.outcome': attempt.outcome ?? '',
    ...(attempt.evictCause ? { 'iocloud.evict_cause': attempt.evictCause } : {}),
  };
  return [
    ...(attempt.runningAt
      ? span('run', own, attempt.runningAt, attempt.endedAt, { service: 'ray', failed, attributes: outcome })
      : []),
    ...span('attempt', root, attempt.assignedAt, attempt.endedAt, { failed, attributes: outcome }),
  ];
}
