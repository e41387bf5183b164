/**
 * `mega.iocloud.io/v1alpha1` MegaRayCluster: many RayClusters of a kind, its cells, over failure domains and Kubernetes
 * clusters. Written once, here: types and CRD come from it.
 */
import { z } from 'zod';
import { rayClusterSchema } from './raycluster.js';

/** More cells than that are more than one object's status and one reconciliation are made for. */
export const mostCells = 10_000;

const cells = () => z.int().min(0).max(mostCells);
const strings = () => z.record(z.string(), z.string());
const passedThrough = () =>
  z.record(z.string(), z.unknown()).meta({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true });
const share = () =>
  z
    .union([z.int(), z.string()])
    .meta({ 'x-kubernetes-int-or-string': true })
    .describe('Cells, or a percentage of those wanted.');

const place = z.object({
  kubernetesCluster: z
    .string()
    .default('local')
    .describe("A member cluster by the name that the operator knows it by; local is the operator's own."),
  domains: z
    .array(z.string())
    .optional()
    .describe(
      'Values of the topology key: cells are shared evenly among them, and the pods of a cell stay in its own.',
    ),
});

const cellGroup = z.object({
  name: z.string().min(1),
  weight: z.int().min(1).max(1_000).default(1).describe("The group's part of all cells, beside the other weights."),
  minReplicas: cells().default(0),
  maxReplicas: cells().default(mostCells),
  places: z.array(place).optional().describe("Where its cells may be; default: the operator's own Kubernetes cluster."),
  topologyKey: z.string().optional().describe('Of the domains. Default: topology.kubernetes.io/zone.'),
  nodeSelector: strings().optional().describe("Added to every pod's own."),
  tolerations: z.array(passedThrough()).optional().describe("Added to every pod's own."),
  affinity: passedThrough().optional().describe('Of pods whose template has none.'),
  template: z.object({
    metadata: z.object({ labels: strings().optional(), annotations: strings().optional() }).optional(),
    // Suspension is said once for all cells; who manages a cell is settled.
    spec: rayClusterSchema.shape.spec.omit({ managedBy: true, suspend: true }),
  }),
});

const spec = z.object({
  replicas: cells().default(1).describe('Cells in all. Groups share them by weight, within their bounds.'),
  suspend: z.boolean().optional().describe('Cells stay, their pods go.'),
  cellGroups: z
    .array(cellGroup)
    .min(1)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  rollout: z
    .object({
      maxUnavailable: share()
        .optional()
        .describe('Cells that a rollout may have out of service at a time. Default: 1.'),
      maxSurge: share().optional().describe('Cells that a rollout may have above those wanted. Default: 0.'),
    })
    .optional(),
  health: z
    .object({
      minReadyWorkersPercent: z
        .int()
        .min(0)
        .max(100)
        .default(50)
        .describe('With fewer ready workers than this part of its own, or without a ready head, a cell is broken.'),
      replaceBrokenAfterSeconds: z.int().min(0).default(900).describe('0: never.'),
      replaceUnreachableAfterSeconds: z
        .int()
        .min(0)
        .default(1_800)
        .describe(
          'How long a Kubernetes cluster may be silent before its cells are made elsewhere. 0: they never are.',
        ),
    })
    .optional(),
});

const count = () => z.int().optional();

const cellStatus = z.object({
  name: z.string(),
  group: z.string(),
  kubernetesCluster: z.string(),
  domain: z.string().optional(),
  state: z.string(),
  since: z.string().meta({ format: 'date-time' }).optional().describe('Since when it is broken or out of reach.'),
  updated: z.boolean(),
  headService: z.string(),
  readyWorkers: z.int(),
  desiredWorkers: z.int(),
  message: z.string().optional(),
});

const placeStatus = z.object({
  group: z.string(),
  kubernetesCluster: z.string(),
  domain: z.string().optional(),
  cells: z.int(),
  readyCells: z.int(),
  reachable: z.boolean(),
});

const status = z.object({
  observedGeneration: count(),
  desiredReplicas: count().describe('Cells wanted, within the bounds of the groups.'),
  replicas: count().describe('Cells that there are.'),
  readyReplicas: count(),
  updatedReplicas: count(),
  unavailableReplicas: count(),
  desiredWorkers: count(),
  readyWorkers: count(),
  desiredGPU: z.string().optional(),
  readyGPU: z.string().optional().describe('In cells that are ready.'),
  conditions: rayClusterSchema.shape.status.unwrap().shape.conditions,
  places: z.array(placeStatus).meta({ 'x-kubernetes-list-type': 'atomic' }).optional(),
  cells: z
    .array(cellStatus)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .optional()
    .describe('Those in trouble first, then by name; all, while they are few enough.'),
  cellsOmitted: count(),
});

export const megaRayClusterSchema = z.object({ spec, status: status.optional() });

export type MegaRayClusterSpec = z.infer<typeof spec>;
export type MegaRayClusterStatus = z.infer<typeof status>;
export type CellGroup = z.infer<typeof cellGroup>;
export type CellStatus = z.infer<typeof cellStatus>;
export type PlaceStatus = z.infer<typeof placeStatus>;
