/** When a cluster counts as unused for so long that it is released. Pure. */
import type { ClusterFacts, Line } from './facts.js';

/** A cluster that a job brought up, and that is not ready yet, waits for at least so long before it is given up. */
const givingUpMs = 300_000;

interface Idleness {
  since: Date | null;
  /** The time is over, and the head has confirmed it where there is one to ask. */
  over: boolean;
  ask: boolean;
  lookAt: Date | null;
  lines: Line[];
}

export function idleness(cluster: ClusterFacts, now: Date): Idleness {
  const none: Idleness = { since: null, over: false, ask: false, lookAt: null, lines: [] };
  const { idleTimeoutSeconds, origin, activity } = cluster;
  const ready = cluster.phase === 'ready' && cluster.readyAt !== null;
  const counts = cluster.desired === 'running' && activity.live === 0 && (ready || origin === 'job');
  if (!counts) return none;
  const since = latest([cluster.createdAt, cluster.readyAt, activity.lastEndedAt, cluster.directBusyAt]);
  if (idleTimeoutSeconds === null) return { ...none, since };
  const timeoutMs = ready ? idleTimeoutSeconds * 1000 : Math.max(idleTimeoutSeconds * 1000, givingUpMs);
  const deadline = new Date(since.getTime() + timeoutMs);
  if (now < deadline) return { ...none, since, lookAt: deadline };
  if (ready && !cluster.idleConfirmed) return { ...none, since, ask: true, lookAt: now };
  const message = `${cluster.name} had no job for ${Math.round((now.getTime() - since.getTime()) / 1000)} s and is released`;
  return { ...none, since, over: true, lines: [{ reason: 'ClusterIdle', message, severity: 'info' }] };
}

function latest(dates: (Date | null)[]): Date {
  return new Date(Math.max(...dates.map(date => date?.getTime() ?? 0)));
}
