/** A new size of a worker group, and new bounds of its autoscaling. Pure. */
import { type scaleRequest, type WorkerGroup, workerGroup } from '@iocloud/contracts';
import type { z } from 'zod';
import { Failure } from '../platform/index.js';

/** The group as it is wished; null when it is so already. Throws Failure 'bad-request' for a size out of its bounds. */
export function scaledGroup(group: WorkerGroup, wish: z.infer<typeof scaleRequest>): WorkerGroup | null {
  const { minCount: oldMin, maxCount: oldMax, idleTimeoutSeconds, ...rest } = group;
  const maxCount = wish.maxCount === undefined ? oldMax : (wish.maxCount ?? undefined);
  const minCount = wish.minCount ?? (maxCount === undefined ? undefined : oldMin);
  if (wish.count === group.count && minCount === oldMin && maxCount === oldMax) return null;
  const bounds = { minCount, maxCount, idleTimeoutSeconds: maxCount === undefined ? undefined : idleTimeoutSeconds };
  const stated = Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined));
  const scaled = workerGroup.safeParse({ ...rest, count: wish.count, ...stated });
  if (scaled.success) return scaled.data;
  const [issue] = scaled.error.issues;
  throw new Failure('bad-request', `group ${group.name}: ${issue?.path.join('.')}: ${issue?.message}`);
}
