/** What a Ray node offers and a job asks for: the same words for both. */
import { z } from 'zod';

/** A DNS label (RFC 1123): lower-case letters, digits and hyphens, at most 63. */
export const dnsLabel = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and hyphens, at most 63 characters');

/** Labels by Ray's rules (Kubernetes syntax). Keys under `ray.io/` are Ray's own and refused. */
export const labels = z
  .record(
    z
      .string()
      .regex(/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/)
      .refine(key => !key.startsWith('ray.io/'), 'labels under ray.io/ are set by Ray itself'),
    z.string().regex(/^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/),
  )
  .default({});

export const nodeResources = z
  .object({
    cpus: z.number().min(0).max(1024).describe('logical CPUs, Ray `num_cpus`'),
    gpus: z.int().min(0).max(64).default(0).describe('whole accelerators, Ray `num_gpus`'),
    memoryBytes: z
      .int()
      .min(512 * 2 ** 20, 'a Ray node needs at least 512 MiB')
      .optional()
      .describe('bytes, Ray `memory`; the machine decides when absent'),
    accelerator: z.string().max(64).optional().describe('accelerator model, for example H100; any when absent'),
    resources: z
      .record(z.string().regex(/^[A-Za-z][A-Za-z0-9_.:-]{0,62}$/), z.number().positive())
      .default({})
      .describe('custom Ray resources, name to amount'),
    labels,
  })
  .meta({ id: 'NodeResources' });
export type NodeResources = z.infer<typeof nodeResources>;
