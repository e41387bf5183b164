/** Challenges: how they were judged, and those that are open. */
import { afterCommit, counter, gauge, type Queryable, type StateSource, setAll } from '../platform/index.js';

const judged = counter('iocloud_verifications_judged_total', 'Challenges that were judged', ['verdict']);
const open = gauge('iocloud_verifications_open', 'Challenges that are not judged yet', ['state']);
const overdue = gauge('iocloud_verifications_overdue_seconds', 'How late the latest of them is; 0: none is late');
const openStates = ['due', 'challenged', 'committed', 'opened'] as const;

export const countVerdict = (db: Queryable, verdict: string): void => afterCommit(db, () => judged.inc({ verdict }));

export const verificationState: StateSource = {
  name: 'verification',
  read: async db => {
    const { rows } = await db.query<{ state: string; open: number; late: number }>(
      `SELECT state, count(*)::int AS open, greatest(0, extract(epoch FROM now() - min(due_at)))::float8 AS late
       FROM verifications WHERE state <> 'judged' GROUP BY 1`,
    );
    setAll(
      open,
      openStates.map(state => ({ labels: { state }, value: rows.find(row => row.state === state)?.open ?? 0 })),
    );
    overdue.set(rows.find(row => row.state === 'due')?.late ?? 0);
  },
};
