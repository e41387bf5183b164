/** What waits on the way between PostgreSQL's outbox and the handlers, for metrics. */
import type { Queue } from 'bullmq';
import type { Queryable } from './database.js';
import { gauge, setAll } from './metrics.js';

const depth = gauge('iocloud_wakeup_queue_depth', 'Wake-ups in BullMQ', ['topic', 'state']);
const outboxRows = gauge('iocloud_outbox_rows', 'Wake-ups that Redis has not taken yet');
const outboxOldest = gauge('iocloud_outbox_oldest_seconds', 'Age of the oldest of them; 0: none');
const redisUp = gauge('iocloud_redis_up', 'Whether Redis answered the last ping');
const redisPing = gauge('iocloud_redis_ping_seconds', 'How long the last look into its queues took');

/** A Redis that is slower than that does not answer. Milliseconds. */
const redisLookMs = 1_000;

export async function readWakeups(db: Queryable, queues: ReadonlyMap<string, Queue>): Promise<void> {
  const { rows } = await db.query<{ rows: number; oldest: number | null }>(
    'SELECT count(*)::int AS rows, extract(epoch FROM now() - min(created_at))::float8 AS oldest FROM outbox',
  );
  outboxRows.set(rows[0]?.rows ?? 0);
  outboxOldest.set(Math.max(0, rows[0]?.oldest ?? 0));
  const startedMs = performance.now();
  const depths = await withinMs(redisLookMs, depthsOf(queues));
  redisUp.set(depths ? 1 : 0);
  setAll(depth, depths ?? []);
  if (depths) redisPing.set((performance.now() - startedMs) / 1_000);
}

async function depthsOf(queues: ReadonlyMap<string, Queue>) {
  const topics = [...queues].map(async ([topic, queue]) => {
    const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
    return Object.entries(counts).map(([state, value]) => ({ labels: { topic, state }, value }));
  });
  return (await Promise.all(topics)).flat();
}

/** Null: it failed, or took too long. */
async function withinMs<T>(ms: number, work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>(resolve => {
    timer = setTimeout(() => resolve(null), ms);
  });
  const done = work.catch(() => null);
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
