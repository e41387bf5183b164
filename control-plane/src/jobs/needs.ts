/** What a job needs, as the one Ray node of a cluster that is brought up for it. */
import { nodeResources } from '@iocloud/contracts';
import { labelsFor, type Needs } from '../core/queueing/index.js';

const minNodeMemoryBytes = 512 * 2 ** 20;

/** As zod's safeParse answers: what a job asks for may be more than any Ray node can have. */
export const nodeFor = (needs: Needs) =>
  nodeResources.safeParse({
    cpus: Math.max(needs.cpus ?? 1, 1),
    gpus: Math.ceil(needs.gpus),
    ...(needs.memoryBytes > 0 ? { memoryBytes: Math.max(needs.memoryBytes, minNodeMemoryBytes) } : {}),
    resources: Object.fromEntries(Object.entries(needs.resources).filter(([, amount]) => amount > 0)),
    labels: labelsFor(needs.labelSelector),
  });
