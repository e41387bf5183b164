/** The trace of a job: the caller's, or one that follows from the job's id, so that any replica knows it. Pure. */
import { createHash } from 'node:crypto';
import { idsOf, parseTraceParent } from '../core/tracing/index.js';
import type { JobRow } from './store.js';

/** `parentId` null: the job is where the trace begins. */
export function traceOfJob({ id, trace_parent }: Pick<JobRow, 'id' | 'trace_parent'>): {
  traceId: string;
  parentId: string | null;
} {
  const given = trace_parent === null ? null : parseTraceParent(trace_parent);
  return given ?? { traceId: idsOf(hash, id).traceId, parentId: null };
}

export const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
