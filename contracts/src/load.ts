/** Live load of a cluster, as its own Ray reports it. */
import { z } from 'zod';
import { leaseId } from './ids.js';

const amounts = z
  .record(z.string(), z.number())
  .describe("by Ray's names: CPU, GPU, memory (bytes), object_store_memory (bytes), custom ones");

export const resourceUse = z
  .record(z.string(), z.object({ used: z.number(), total: z.number() }))
  .describe("by Ray's names: CPU, GPU, memory (bytes), object_store_memory (bytes), custom ones");
export type ResourceUse = z.infer<typeof resourceUse>;

export const rayNodeLoad = z
  .object({
    leaseId: leaseId.nullable().describe('null for a Ray node that was not started here'),
    group: z.string(),
    state: z
      .enum(['idle', 'busy', 'hot', 'draining'])
      .describe('idle: no task, no actor, no object held; hot: at least 90 % of its CPUs or its GPUs in use'),
    since: z.iso.datetime(),
    resources: resourceUse,
  })
  .meta({ id: 'RayNodeLoad' });
export type RayNodeLoad = z.infer<typeof rayNodeLoad>;

export const clusterLoad = z
  .object({
    readAt: z.iso.datetime(),
    resources: resourceUse,
    waiting: z
      .array(z.object({ resources: amounts, count: z.int() }))
      .describe('tasks and actors that wait for room, by what each needs; the first 100 shapes'),
    waitingGroups: z
      .array(
        z.object({ bundles: z.int().describe('how many'), resources: amounts.describe('of all bundles together') }),
      )
      .describe('placement groups that wait for room; the first 100'),
    nodes: z.array(rayNodeLoad),
  })
  .meta({ id: 'ClusterLoad' });
export type ClusterLoad = z.infer<typeof clusterLoad>;

export const nodeLoad = z
  .object({
    state: z
      .enum(['idle', 'busy', 'hot', 'unknown'])
      .describe(
        'of what is leased: nothing in use; some; at least 90 % of the CPUs or of the devices; Ray was not heard',
      ),
    cpusUsed: z.number().describe('leased CPUs that Ray tasks and actors hold'),
    devicesUsed: z.number().describe('leased devices that Ray tasks and actors hold'),
  })
  .meta({ id: 'NodeLoad' });
export type NodeLoad = z.infer<typeof nodeLoad>;
