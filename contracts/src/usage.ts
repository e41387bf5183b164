/** What leases have used: as lines of windows, in sums, and as CloudEvents that come in and go out. */
import { z } from 'zod';
import { clusterId, leaseId, nodeId, tenantId } from './ids.js';

const difference = z.int();
const amounts = {
  billableMs: difference.describe('time in which the lease was held and worked'),
  allocatedMs: difference.describe('time in which it was held'),
  deviceBillableMs: difference.describe('accelerators × time held and working'),
  deviceAllocatedMs: difference.describe('accelerators × time held'),
  cpuMs: difference.describe('processor time'),
  mibSeconds: difference.describe('memory × time, MiB × seconds'),
  egressBytes: difference.describe('sent out of its network'),
};
export const usageAmounts = z.object(amounts).meta({ id: 'UsageAmounts' });
export type UsageAmounts = z.infer<typeof usageAmounts>;

export const usageLine = usageAmounts
  .extend({
    id: z.int().describe('grows'),
    leaseId,
    clusterId,
    clusterName: z.string(),
    nodeId,
    windowStart: z.iso.datetime(),
    windowSeconds: z.int(),
    revision: z
      .int()
      .describe('0: the window as it was closed; each correction has the next number and the difference'),
    evidence: z
      .record(z.string(), z.unknown())
      .describe('source, series and the samples between which the window lies'),
    at: z.iso.datetime().describe('when it was written'),
  })
  .meta({ id: 'UsageLine' });
export type UsageLine = z.infer<typeof usageLine>;

export const usageGrouping = z.enum(['cluster', 'job', 'day']).meta({ id: 'UsageGrouping' });
export type UsageGrouping = z.infer<typeof usageGrouping>;

export const usageSum = usageAmounts
  .extend({
    key: z.string().describe('id of the cluster, submission id of the job (empty: no job ran), or the day (UTC)'),
    name: z.string().describe('of the cluster; else as the key'),
  })
  .meta({ id: 'UsageSum' });
export type UsageSum = z.infer<typeof usageSum>;

/** Events in one call. */
export const maxUsageEvents = 10_000;
export const usageEventType = 'iocloud.usage.v1';
export const interruptionEventType = 'iocloud.interruption.v1';
export const usageLineEventType = 'iocloud.usage.line.v1';

const amount = z.int().min(0).default(0);
const stretch = { leaseId, from: z.iso.datetime({ offset: true }), until: z.iso.datetime({ offset: true }) };
const text = z.string().min(1).max(255);
/** CloudEvents 1.0 in the JSON format; attributes that it does not know are allowed there, and kept nowhere here. */
const attributes = {
  specversion: z.literal('1.0'),
  id: text,
  source: text.describe('with the id it says which event it is: the same two count once, for ever'),
  subject: text.optional(),
  time: z.iso.datetime({ offset: true }).optional(),
  datacontenttype: z.literal('application/json').optional(),
};

export const usageEvent = z
  .discriminatedUnion('type', [
    z.looseObject({
      ...attributes,
      type: z.literal(usageEventType),
      data: z
        .strictObject({ ...stretch, cpuMs: amount, mibSeconds: amount, egressBytes: amount })
        .describe('used by the lease from one moment to another, besides what its agent counts'),
    }),
    z.looseObject({
      ...attributes,
      type: z.literal(interruptionEventType),
      data: z.strictObject(stretch).describe('the lease did not work then, and is not billed for it'),
    }),
  ])
  .meta({ id: 'UsageEvent' });
export type UsageEvent = z.infer<typeof usageEvent>;
/** A single event is a batch of one. */
export const usageEvents = z
  .preprocess(value => (Array.isArray(value) ? value : [value]), z.array(usageEvent).min(1).max(maxUsageEvents))
  .meta({
    id: 'UsageEvents',
    description:
      'CloudEvents 1.0: a list (application/cloudevents-batch+json) or one (application/cloudevents+json), of type ' +
      `${usageEventType} with data {leaseId, from, until, cpuMs?, mibSeconds?, egressBytes?} or ` +
      `${interruptionEventType} with data {leaseId, from, until}`,
  });

export const usageEventsTaken = z
  .object({
    accepted: z.int().describe('are on record since this call'),
    duplicates: z.int().describe('had been on record before'),
  })
  .meta({ id: 'UsageEventsTaken' });

/** A line of usage as it is exported. */
export const exportedUsageEvent = z
  .object({
    specversion: z.literal('1.0'),
    id: z.string(),
    source: z.string(),
    type: z.literal(usageLineEventType),
    subject: leaseId,
    time: z.iso.datetime(),
    datacontenttype: z.literal('application/json'),
    data: usageLine.extend({ tenantId }),
  })
  .meta({ id: 'ExportedUsageEvent' });
export type ExportedUsageEvent = z.infer<typeof exportedUsageEvent>;
