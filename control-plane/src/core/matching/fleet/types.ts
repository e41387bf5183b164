/** What goes into the fleet and what comes out of it. */
import type { NodeId, TenantId } from '@iocloud/contracts';

/** Integers: millionths of a US dollar an hour. */
export type MicroUsdPerHour = number;

/** A device is handed out in so many parts at the finest; so are CPUs (Ray counts resources to the same digit). */
export const unitsPerDevice = 10_000;
/** Most devices of one node. */
export const maxDevicesPerNode = 64;

/** The devices of one model in one node. */
export interface FleetDevicePool {
  /** Slug of the accelerator catalogue ('h100-sxm'), or any other name for what is not in it. */
  model: string;
  /** How many: as many as there are indices. */
  count: number;
  /** Each device's index on its node; no index is in two pools. */
  indices: number[];
  /** Not looked at: in a trial a simulated device stands for a real one. */
  simulated: boolean;
  /** Bytes of one device, for models that are not in the catalogue. */
  memoryBytes?: number | undefined;
}

export type Interconnect = 'none' | 'pcie' | 'nvlink';
export type Network = 'ethernet' | 'infiniband' | 'roce';
export type Connectivity = 'low' | 'medium' | 'high' | 'ultra';

export interface FleetNode {
  nodeId: NodeId;
  ownerId: TenantId;
  /** When false only the owner may place on it. */
  shared: boolean;
  /** Only the owner may, for want of containers: for explanations. Absent: false. */
  heldBack?: boolean;
  supplierId: string;
  /** Failure and interconnect domain: a site or a rack. */
  domain: string;
  /** ISO 3166-1 alpha-2; '' when unknown. */
  country: string;
  region: string;
  latitudeDeg: number | null;
  longitudeDeg: number | null;
  cpus: number;
  memoryBytes: number;
  /** [] for a node without accelerators. */
  pools: FleetDevicePool[];
  /** Between the devices of the node. */
  interconnect: Interconnect;
  /** Between the nodes of its domain. */
  network: Network;
  connectivity: Connectivity;
  /** 'soc2', 'hipaa', 'gdpr', 'iso27001', 'e2e-encrypted', … */
  compliance: string[];
  rayVersions: string[];
  microUsdPerGpuHour: MicroUsdPerHour;
  microUsdPerCpuHour: MicroUsdPerHour;
  /** 0 to 1. */
  reputation: number;
  /** 0 to 1: what is staked of what is required, capped. */
  stake: number;
  /** 0 to 1. */
  load: number;
  /** Online, verified where that is asked, not draining. */
  schedulable: boolean;
}

export interface AcceleratorWant {
  vendors?: string[] | undefined;
  /** Slugs of the catalogue; `resolve` makes them of what a user writes. */
  models?: string[] | undefined;
  minMemoryBytes?: number | undefined;
  /** At least: 'pcie' is met by 'nvlink'. */
  interconnect?: Interconnect | undefined;
}

export interface WorkerGroup {
  name: string;
  workers: number;
  cpus: number;
  memoryBytes: number;
  /** Of each worker: a whole number, or a fraction below 1 of a single device. */
  devices: number;
  /** Null: any model. Not looked at where `devices` is 0. */
  accelerator: AcceleratorWant | null;
}

/** How much each part of the score counts; each ≥ 0, only their proportions matter. */
export interface Weights {
  price: number;
  speed: number;
  place: number;
  reputation: number;
  stake: number;
  load: number;
  /** Of packing or spreading. Without it `defaultFitWeight`. */
  fit?: number | undefined;
}

export interface PlacementRequest {
  tenantId: TenantId;
  /** All of them or nothing. */
  groups: WorkerGroup[];
  where: {
    countries?: string[] | undefined;
    excludeCountries?: string[] | undefined;
    regions?: string[] | undefined;
    near?: { latitudeDeg: number; longitudeDeg: number } | undefined;
    /** Estimated round trip from `near`; without `near` it limits nothing. */
    maxLatencyMs?: number | undefined;
  };
  compliance: string[];
  /** At least. */
  minConnectivity: Connectivity | null;
  network?: Network | undefined;
  rayVersion: string | null;
  /** Of the whole placement; no node may need more. */
  maxMicroUsdPerHour: MicroUsdPerHour | null;
  colocate: 'node' | 'domain' | 'any';
  /** Anti-affinity: no supplier (domain, country, node) carries more workers than this. */
  spread: { by: 'supplier' | 'domain' | 'country' | 'node'; maxWorkersEach: number } | null;
  /** The workers, in their groups' order, are cut into cells of so many; each lies in one domain, and cells go to different domains while there are such. */
  cells: { workersEach: number } | null;
  pack: 'pack' | 'spread';
  weights: Weights;
}

export interface PlacedWorker {
  group: string;
  /** From 0 within its group. */
  ordinal: number;
  nodeId: NodeId;
  model: string | null;
  deviceIndices: number[];
  /** 1, or the fraction of its one device. */
  share: number;
  cpus: number;
  memoryBytes: number;
  /** 0 where there are no cells. */
  cell: number;
  microUsdPerHour: MicroUsdPerHour;
}

export interface FleetPlacement {
  workers: PlacedWorker[];
  microUsdPerHour: MicroUsdPerHour;
  /** Mean of the workers' scores, each as it was when the worker was placed. */
  score: number;
}

export interface PlacementRefusal {
  /**
   * 'group': this group alone has no room. 'together': each group has room, all of them together have none that was
   * found. 'price': there is room, none that was found within the price ceiling.
   */
  refused: 'group' | 'together' | 'price';
  group: string | null;
  /** True: no placement exists. False: none was found by what is tried (see `Fleet.place`), one may exist. */
  certain: boolean;
}

/** Each from 0 to 1, 1 the best; see `score.ts`. */
export interface ScoreParts {
  price: number;
  speed: number;
  place: number;
  reputation: number;
  stake: number;
  load: number;
  fit: number;
}

export interface FleetCandidate {
  group: string;
  nodeId: NodeId;
  model: string | null;
  score: number;
  parts: ScoreParts;
  /** Of one worker of the group there. */
  microUsdPerHour: MicroUsdPerHour;
  /** Workers of the group that would fit there as it is now. */
  workers: number;
  /** Estimated; null where the request is near nothing, or the node's position unknown. */
  latencyMs: number | null;
}
