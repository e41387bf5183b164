import { z } from 'zod';

/** What a control plane tells of itself to those who help it; free of secrets. */
export const supportReport = z
  .object({
    at: z.iso.datetime(),
    version: z.string(),
    runtime: z.object({ node: z.string(), platform: z.string(), arch: z.string(), uptimeSeconds: z.number() }),
    configuration: z.record(z.string(), z.unknown()).describe('of addresses only scheme, host and port'),
    health: z.record(z.string(), z.boolean()),
    loops: z.record(z.string(), z.unknown()).describe('of this replica'),
    migrations: z.array(z.object({ name: z.string(), appliedAt: z.iso.datetime() })),
    events: z.array(z.unknown()).describe('the latest of all tenants, without their words; newest first'),
    metrics: z.string(),
  })
  .meta({ id: 'SupportReport' });
export type SupportReport = z.infer<typeof supportReport>;
