/** Mega-Ray clusters: many ordinary Ray clusters ("cells") behind one Jobs address and one index of dashboards. */
import { z } from 'zod';
import { clusterPhase, clusterSpec, condition, rayVersion } from './clusters.js';
import { clusterId, megaClusterId } from './ids.js';
import { microUsd } from './requirements.js';
import { dnsLabel } from './resources.js';

export const maxCells = 1_000;
/** A cell is called as its cluster with a hyphen and its number, which together are a DNS label. */
const maxNameLength = 63 - `-${maxCells}`.length;

/** A cell is a cluster as any, but for when it ends: that is its Mega-Ray cluster's to say. */
const {
  name: _name,
  type: _type,
  budgetMicroUsd: _budget,
  until: _until,
  idleTimeoutSeconds: _idle,
  ...cellShape
} = clusterSpec.shape;
export const cellSpec = z.strictObject(cellShape).meta({ id: 'CellSpec' });
export type CellSpec = z.infer<typeof cellSpec>;

export const cellSpread = z
  .strictObject({
    by: z
      .enum(['machine', 'domain', 'region', 'country', 'supplier'])
      .describe('what fails as one: a machine, its site or rack (a machine that states none stands for itself), …'),
    mode: z
      .enum(['preferred', 'required'])
      .default('preferred')
      .describe('required: a cell waits rather than share one with another cell'),
  })
  .meta({ id: 'CellSpread' });
export type CellSpread = z.infer<typeof cellSpread>;

const wishes = {
  cells: z.int().min(0).max(maxCells).describe('cells wanted'),
  maxUnavailable: z.int().min(1).max(maxCells).describe('so many cells at most are taken down at once by an update'),
  drainSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .describe('a cell that is to go is deleted after so long at the latest, once its jobs have been asked to move'),
  spread: cellSpread.nullable().describe('over what cells are spread; null: over nothing'),
};

export const megaClusterSpec = z
  .strictObject({
    name: dnsLabel.max(maxNameLength).describe('unique among the live clusters of both kinds of the tenant'),
    cells: wishes.cells.min(1),
    cell: cellSpec.prefault({}).describe('what each cell is'),
    maxUnavailable: wishes.maxUnavailable.default(1),
    drainSeconds: wishes.drainSeconds.default(300),
    spread: wishes.spread.default({ by: 'domain', mode: 'preferred' }),
  })
  .meta({ id: 'MegaClusterSpec' });
export type MegaClusterSpec = z.infer<typeof megaClusterSpec>;

/** Only what is named changes. */
export const changeMegaCluster = z
  .strictObject({
    ...wishes,
    cell: cellSpec.describe('what each cell shall be: those that are otherwise are replaced'),
  })
  .partial()
  .refine(changes => Object.keys(changes).length > 0, 'names nothing to change')
  .meta({ id: 'ChangeMegaCluster' });
export type ChangeMegaCluster = z.infer<typeof changeMegaCluster>;

export const megaPhase = z.enum(['pending', 'ready', 'degraded', 'deleting', 'deleted']).meta({ id: 'MegaPhase' });
export type MegaPhase = z.infer<typeof megaPhase>;

export const megaCondition = condition
  .extend({
    type: z
      .enum(['CellsCreated', 'CellsReady', 'UpToDate'])
      .describe('CellsReady: as many cells as wanted take jobs; UpToDate: all are as the spec says'),
  })
  .meta({ id: 'MegaCondition' });
export type MegaCondition = z.infer<typeof megaCondition>;

export const cellHealth = z
  .enum(['ready', 'starting', 'ended'])
  .describe('ready: it takes jobs; starting: it comes up, or comes back; ended: it will be replaced')
  .meta({ id: 'CellHealth' });
export type CellHealth = z.infer<typeof cellHealth>;

export const megaCell = z
  .object({
    clusterId,
    name: z.string(),
    ordinal: z.int(),
    health: cellHealth,
    phase: clusterPhase,
    message: z.string().describe('why it is not ready'),
    upToDate: z.boolean(),
    leaving: z.string().nullable().describe('why it is to go; it takes no new jobs'),
    jobs: z.int().describe('that run there'),
    dashboardPath: z.string(),
  })
  .meta({ id: 'MegaCell' });
export type MegaCell = z.infer<typeof megaCell>;

export const megaCluster = z
  .object({
    id: megaClusterId,
    spec: megaClusterSpec.extend({ cells: wishes.cells, cell: cellSpec.extend({ rayVersion }) }),
    desired: z.enum(['running', 'deleted']),
    phase: megaPhase,
    generation: z.int().describe('grows with every change of the spec or the desired state'),
    observedGeneration: z.int().describe('the generation that the status speaks of'),
    conditions: z.array(megaCondition),
    readyCells: z.int(),
    cells: z.array(megaCell),
    microUsdPerHour: microUsd.describe('what its cells cost now'),
    spentMicroUsd: microUsd.describe('what its cells have cost since it was created'),
    jobsPath: z.string().describe('path of its Ray Jobs address, for `ray job submit --address`'),
    indexPath: z.string().describe('path of the page that leads to the cells’ dashboards'),
    createdAt: z.iso.datetime(),
    readyAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'MegaCluster' });
export type MegaCluster = z.infer<typeof megaCluster>;
