/** How attempts end: by what their head says, and by what was asked of them. Pure. */
import type { RayJobDetails } from '@iocloud/contracts';
import { isInfrastructureError } from '../states.js';
import type { AttemptEnd, AttemptRow } from './store.js';

/** An attempt that was asked to move has moved, whether it went by itself or with its head; a result of its own stands. */
export function asEviction(attempt: Pick<AttemptRow, 'evict_reason'>, end: AttemptEnd): AttemptEnd {
  if (attempt.evict_reason === null || end.outcome === 'succeeded' || end.outcome === 'failed') return end;
  return { outcome: 'evicted', message: attempt.evict_reason, errorType: null, details: null };
}

/** How an attempt ends whose job has ended on the head. */
export function endOf(details: RayJobDetails): AttemptEnd {
  const message = details.message ?? '';
  const common = { message, errorType: details.error_type, details };
  if (details.status === 'SUCCEEDED') return { outcome: 'succeeded', ...common };
  if (details.status === 'STOPPED') return { outcome: 'stopped', ...common };
  return { outcome: isInfrastructureError(details.error_type, message) ? 'lost' : 'failed', ...common };
}
