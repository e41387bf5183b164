/** The work that both schedulers get: fleets and arrivals of the same make from the same seed. */

/** Slugs of the accelerator catalogue; a node has one of them, and every model has as many nodes. */
export const models = [
  'h100-sxm',
  'h200-sxm',
  'a100-80-sxm',
  'a100-40-pcie',
  'l40s',
  'l4',
  'rtx-4090',
  'mi300x',
] as const;
export type Model = (typeof models)[number];

export const nodeShape = { gpus: 8, cpus: 128, memoryGiB: 1024 };
export const perGpu = { cpus: 4, memoryGiB: 16 };
/** How many devices arrivals ask for, each as often as it stands here. */
export const sizes = [1, 1, 1, 2, 4, 8] as const;
/** Share of all devices in use from which on the oldest work leaves as new work comes. */
export const standingShare = 0.6;

export interface Arrival {
  model: Model;
  gpus: number;
}

export const modelOf = (node: number): Model => models[node % models.length] as Model;

export function arrival(random: () => number): Arrival {
  return {
    model: models[Math.floor(random() * models.length)] as Model,
    gpus: sizes[Math.floor(random() * sizes.length)] as number,
  };
}

/** The devices that may be in use before the oldest work leaves. */
export const standingGpus = (nodes: number): number => Math.floor(nodes * nodeShape.gpus * standingShare);
