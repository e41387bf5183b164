/** What the simulator keeps of the work: what the control plane knows of it, and what is true. */
import type { AttemptView, Sighting } from '@iocloud/control-plane/core/queueing';
import type { SimulatedJob } from './scenario.js';

/** What the simulated control plane keeps of a job. */
export interface JobRecord<Request, Placement> {
  readonly job: SimulatedJob<Request>;
  /** Number of the attempt whose word counts. */
  live: number | null;
  view: AttemptView;
  failures: number;
  outcome: 'succeeded' | 'failed' | 'stopped' | 'exhausted' | null;
  /** Work that no attempt has to do again. */
  savedMs: number;
  /** For the time that its attempts ran in truth. */
  costMicroUsd: number;
  execution: Execution<Request, Placement> | null;
}

/** What runs in truth, whatever the control plane thinks. */
export interface Execution<Request, Placement> {
  readonly record: JobRecord<Request, Placement>;
  readonly attempt: number;
  readonly placement: Placement;
  readonly machines: readonly string[];
  readonly startedAtMs: number;
  /** False once its processes have ended. */
  alive: boolean;
  /** It ended, and its word has not been heard yet. */
  unheard: Sighting | null;
}

/** Bugs to plant, to see that the checks find them. */
export const bugs = [
  /** What an attempt says counts also when another has taken its place. */
  'no-fence',
  /** Many slow or failed probes are taken for the end of an attempt. */
  'probe-restarts',
  /** The ground forgets at times what has been taken. */
  'shared-devices',
  /** A queue that is built anew is not told what the one before it knew. */
  'no-memory',
  /** The ground leaves out one worker of a gang. */
  'partial-gangs',
  /** Only the control plane ends what has used up its budget, not the machine by itself. */
  'budget-by-word',
  /** Nobody is told that a machine is back. */
  'unheard-return',
  /** The queue lets tenants use twice their quota. */
  'double-quota',
  /** The user's own error is taken for one of the infrastructure. */
  'retried-errors',
] as const;
export type Bug = (typeof bugs)[number];

/** What runs, found by its machines. */
export class Executions<Request, Placement> {
  readonly #all = new Set<Execution<Request, Placement>>();
  readonly #on = new Map<string, Set<Execution<Request, Placement>>>();

  add(execution: Execution<Request, Placement>): void {
    this.#all.add(execution);
    for (const machineId of execution.machines) {
      const here = this.#on.get(machineId) ?? new Set();
      this.#on.set(machineId, here.add(execution));
    }
  }

  delete(execution: Execution<Request, Placement>): void {
    if (!this.#all.delete(execution)) return;
    for (const machineId of execution.machines) this.#on.get(machineId)?.delete(execution);
  }

  get size(): number {
    return this.#all.size;
  }

  all(): Execution<Request, Placement>[] {
    return [...this.#all];
  }

  on(machineId: string): Execution<Request, Placement>[] {
    return [...(this.#on.get(machineId) ?? [])];
  }
}
