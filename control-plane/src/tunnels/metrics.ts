/** Ways into leases: how many were opened and refused, and how many are open through this process. */
import { counter, gauge } from '../platform/index.js';

const sessions = counter('iocloud_sessions_total', 'Ways into leases', ['kind', 'via', 'result']);
const open = gauge('iocloud_sessions_open', 'Of these, those that are open', ['kind', 'via']);

export function countOpened(kind: string, via: string): void {
  sessions.inc({ kind, via, result: 'opened' });
  open.inc({ kind, via });
}

export const countClosed = (kind: string, via: string): void => open.dec({ kind, via });

export const countRefused = (kind: string, via: string): void => sessions.inc({ kind, via, result: 'refused' });
