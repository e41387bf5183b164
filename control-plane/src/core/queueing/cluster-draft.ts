/** One cluster, and what is held of it while the queue decides. */
import type { ClusterId, Requirements, TenantId } from '@iocloud/contracts';
import { type FleetNode, meets } from '../matching/index.js';
import { type Amounts, add, type Needs, nothing, reservation, shortage } from './amounts.js';
import { labelsMatch } from './label-selector.js';

export interface JobCluster {
  id: ClusterId;
  tenantId: TenantId;
  name: string;
  origin: 'user' | 'job';
  /** `pending`: it has no machines yet. */
  phase: 'pending' | 'provisioning' | 'ready';
  capacity: Amounts;
  /** What it has once it has grown to its bounds, for jobs that name it; absent where its size is fixed. */
  growsTo?: Amounts;
  /** What it is a cell of: jobs that name that may run here. */
  mega?: { id: string; name: string };
  /** By its live load a job there would wait, whatever is reserved: chosen last among those with room. */
  saturated: boolean;
  /** By its live load: the share of its CPUs or accelerators in use, whichever is more; absent: unknown. */
  inUse?: number;
  nodeLabels: Record<string, string>[];
  /** What it holds of its machine, for jobs that require something of it or that have a price; absent: unknown. */
  ground?: FleetNode | undefined;
  /** What it was brought up to meet: while it has no machine, that is what it will be. */
  requirements?: Requirements | undefined;
  waitingFor: string;
}

/** What a job holds of a cluster. */
export interface JobHold {
  kind: 'cluster';
  clusterId: ClusterId;
  reserve: Amounts;
  /** So many jobs hold this together. */
  jobs: number;
  /** At the prices of the cluster's machine; 0 where these are not known. */
  microUsdPerHour: number;
}

interface Asking {
  tenantId: TenantId;
  needs: Needs;
  wantedCluster: string | null;
}

export class ClusterDraft {
  readonly #holds = new Map<string, { reserve: Amounts; jobs: number }>();
  readonly #claims = new Set<string>();
  #reserved: Amounts = nothing;
  #jobs = 0;

  constructor(
    readonly cluster: JobCluster,
    readonly maxJobs: number,
  ) {}

  /** CPUs. */
  get free(): number {
    return this.cluster.capacity.cpus - this.#reserved.cpus;
  }

  /** How full it is, from what jobs hold of it and what its Ray reports: only which of two is less says anything. */
  get load(): number {
    const { cpus, gpus } = this.cluster.capacity;
    const share = (held: number, of: number) => (of > 0 ? held / of : 0);
    const held = Math.max(
      share(this.#reserved.cpus, cpus),
      share(this.#reserved.gpus, gpus),
      share(this.#jobs, this.maxJobs),
    );
    return held + (this.cluster.inUse ?? 0);
  }

  isNamed(wanted: string): boolean {
    const { id, name, mega } = this.cluster;
    return wanted === id || wanted === name || wanted === mega?.id || wanted === mega?.name;
  }

  /** No job runs there, and it is not to be released for anything. */
  get isIdle(): boolean {
    return this.#holds.size === 0 && this.#claims.size === 0;
  }

  /** It grows for what names it: a job that may run nowhere else goes there as if it had grown. */
  #capacityFor({ wantedCluster }: Asking): Amounts {
    return wantedCluster === null ? this.cluster.capacity : (this.cluster.growsTo ?? this.cluster.capacity);
  }

  hold(asking: Asking): JobHold {
    const reserve = reservation(asking.needs, this.#capacityFor(asking));
    const { microUsdPerCpuHour = 0, microUsdPerGpuHour = 0 } = this.cluster.ground ?? {};
    const microUsdPerHour = Math.ceil(reserve.cpus * microUsdPerCpuHour + reserve.gpus * microUsdPerGpuHour);
    return { kind: 'cluster', clusterId: this.cluster.id, reserve, jobs: 1, microUsdPerHour };
  }

  /** Why it could not run the job even if it were empty; null: it could. */
  neverFits(asking: Asking): string | null {
    const capacity = this.#capacityFor(asking);
    const lack = shortage(reservation(asking.needs, capacity), capacity);
    if (lack) return `it asks for ${lack}`;
    const { labelSelector, requirements } = asking.needs;
    if (requirements && !this.#meets(asking.tenantId, requirements)) return 'its machine is not what the job requires';
    if (Object.keys(labelSelector).length === 0) return null;
    if (this.cluster.nodeLabels.some(labels => labelsMatch(labels, labelSelector))) return null;
    return 'no node of it carries the labels that entrypoint_label_selector asks for';
  }

  #meets(tenantId: TenantId, requirements: Requirements): boolean {
    const { ground, requirements: promised } = this.cluster;
    if (ground) return isMet(tenantId, requirements, ground);
    return promised !== undefined && JSON.stringify(promised) === JSON.stringify(requirements);
  }

  /** Why there is no room just now; null: there is. */
  noRoom(asking: Asking): string | null {
    if (this.#claims.size > 0) return 'it is released for an earlier job';
    if (this.#jobs >= this.maxJobs) {
      return `${this.#jobs} jobs run there, which is the most that one cluster takes`;
    }
    const capacity = this.#capacityFor(asking);
    const lack = shortage(add(this.#reserved, reservation(asking.needs, capacity)), capacity);
    return lack === null ? null : `with the jobs that run there it would need ${lack}`;
  }

  /** Not checked against what is free: what runs already may be more than a cluster has that has shrunk since. */
  take(holder: string, { reserve, jobs }: JobHold): void {
    this.#holds.set(holder, { reserve, jobs });
    this.#sum();
  }

  /** What is free of it just now. */
  reserve(holder: string, { reserve, jobs }: JobHold): void {
    const { capacity } = this.cluster;
    const left = (of: number | undefined, taken: number | undefined) => Math.max(0, (of ?? 0) - (taken ?? 0));
    const resources = Object.entries(reserve.resources).map(([name, amount]): [string, number] => [
      name,
      Math.min(amount, left(capacity.resources[name], this.#reserved.resources[name])),
    ]);
    this.#holds.set(holder, {
      reserve: {
        cpus: Math.min(reserve.cpus, left(capacity.cpus, this.#reserved.cpus)),
        gpus: Math.min(reserve.gpus, left(capacity.gpus, this.#reserved.gpus)),
        memoryBytes: Math.min(reserve.memoryBytes, left(capacity.memoryBytes, this.#reserved.memoryBytes)),
        resources: Object.fromEntries(resources),
      },
      jobs: Math.min(jobs, left(this.maxJobs, this.#jobs)),
    });
    this.#sum();
  }

  /** It shall be released for the holder: nothing else goes there. */
  claim(holder: string): void {
    this.#claims.add(holder);
  }

  release(holder: string): void {
    this.#claims.delete(holder);
    if (this.#holds.delete(holder)) this.#sum();
  }

  /** Summed anew: sums and differences of fractions would drift apart. */
  #sum(): void {
    this.#reserved = nothing;
    this.#jobs = 0;
    for (const { reserve, jobs } of this.#holds.values()) {
      this.#reserved = add(this.#reserved, reserve);
      this.#jobs += jobs;
    }
  }
}

/** Answers are kept as long as the ground is: many jobs require the same. */
const answers = new WeakMap<FleetNode, Map<string, boolean>>();

function isMet(tenantId: TenantId, requirements: Requirements, ground: FleetNode): boolean {
  const known = answers.get(ground) ?? new Map<string, boolean>();
  answers.set(ground, known);
  const question = `${tenantId} ${JSON.stringify(requirements)}`;
  const answer = known.get(question) ?? meets(ground, tenantId, requirements);
  known.set(question, answer);
  return answer;
}
