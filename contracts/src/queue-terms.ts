/** The terms by which a tenant's work is queued: its share, what it is sure of, and what it may borrow of others. */
import { z } from 'zod';
import { tenantId } from './ids.js';
import { dnsLabel } from './resources.js';

const thousandth = 0.001;
const mostUnits = 1_000_000_000;
const units = z.number().min(0).max(mostUnits).multipleOf(thousandth, 'at most three decimals');

/** What is not named: of that nothing is said. */
export const queueAmounts = z
  .strictObject({
    gpus: units.optional().describe('accelerators, in steps of a thousandth'),
    cpus: units.optional().describe('logical CPUs, in steps of a thousandth'),
    memoryBytes: z.int().min(0).optional().describe('bytes'),
  })
  .meta({ id: 'QueueAmounts' });
export type QueueAmounts = z.infer<typeof queueAmounts>;
export const queueResources = ['gpus', 'cpus', 'memoryBytes'] as const satisfies (keyof QueueAmounts)[];

export const queueTerms = z
  .strictObject({
    weight: z
      .number()
      .min(thousandth)
      .max(1_000)
      .default(1)
      .describe('its share of what is scarce, in proportion to that of the others'),
    quota: queueAmounts
      .refine(amounts => Object.keys(amounts).length > 0, 'names nothing, and so limits nothing: null says that')
      .nullable()
      .default(null)
      .describe('what it is sure of, and the most it holds unless it borrows; what is not named is not limited'),
    cohort: dnsLabel
      .nullable()
      .default(null)
      .describe('tenants of one cohort lend each other what they leave of their quotas'),
    borrowingLimit: queueAmounts
      .default({})
      .describe('the most that it borrows above its quota; what is not named: as much as its cohort leaves'),
  })
  .superRefine(({ quota, cohort, borrowingLimit }, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (cohort !== null && quota === null) {
      refuse(['quota'], 'a cohort shares quotas: state one, such as {"gpus": 0} for a tenant that only borrows');
    }
    const limited = queueResources.filter(resource => borrowingLimit[resource] !== undefined);
    if (cohort === null && limited.length > 0) {
      refuse(['borrowingLimit'], 'without a cohort there is nobody to borrow from: name the cohort, or leave this out');
    } else if (quota !== null) {
      for (const resource of limited.filter(name => quota[name] === undefined)) {
        refuse(['borrowingLimit', resource], 'the quota does not limit this, so none of it is borrowed: leave it out');
      }
    }
  })
  .meta({ id: 'QueueTerms' });
export type QueueTerms = z.infer<typeof queueTerms>;

export const tenantQueue = z
  .object({
    tenantId,
    terms: queueTerms,
    held: z
      .object({ gpus: z.number(), cpus: z.number(), memoryBytes: z.number() })
      .describe('what the live attempts of its jobs have set aside'),
    running: z.int().describe('jobs with a live attempt'),
    waiting: z.int().describe('jobs in the queue'),
  })
  .meta({ id: 'TenantQueue' });
export type TenantQueue = z.infer<typeof tenantQueue>;
