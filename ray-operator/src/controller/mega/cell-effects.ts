/** Makes, changes and deletes the cells of a plan, each in its Kubernetes cluster, and tells the expectations before. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CellEffect, MegaPlan } from '../../core/mega/plan.js';
import type { CellDeletion } from '../../core/mega/removals.js';
import { operatorName } from '../../core/names.js';
import { ApiError, isConflict, isNotFound } from '../../kubernetes/api-error.js';
import type { KubernetesClient } from '../../kubernetes/client.js';
import { resources } from '../../kubernetes/resources.js';
import type { Expectations } from '../expectations.js';
import { inGrowingBatches } from '../slow-start.js';

export interface CellFailure {
  reason: string;
  message: string;
  cause: unknown;
}

export interface CellEffectsOptions {
  clientOf: (kubernetesCluster: string) => KubernetesClient | undefined;
  expectations: Expectations;
  batch: number;
  signal: AbortSignal;
}

const inCluster = ({ kubernetesCluster }: CellEffect) => kubernetesCluster;
const inPlaceOf = ({ cell }: CellDeletion) => cell.place.kubernetesCluster;

export class CellEffects {
  constructor(private readonly options: CellEffectsOptions) {}

  /** What fails in one Kubernetes cluster, or of one kind of work, keeps back nothing else. */
  async carryOut(key: string, plan: MegaPlan): Promise<CellFailure | undefined> {
    const { deletions, updates, creations } = plan;
    const undeleted = await this.everywhere(deletions, inPlaceOf, each => this.delete(key, each));
    const unchanged = await this.everywhere(updates, inCluster, each => this.apply(each));
    const unmade = await this.everywhere(creations, inCluster, each => this.create(key, each));
    const failures: [string, unknown[]][] = [
      ['FailedCreateCell', unmade],
      ['FailedDeleteCell', undeleted],
      ['FailedUpdateCell', unchanged],
    ];
    const [reason, errors] = failures.find(([, list]) => list.length > 0) ?? ['', []];
    const [cause] = errors;
    if (cause === undefined) return undefined;
    return { reason, message: cause instanceof Error ? cause.message : String(cause), cause };
  }

  /** Returns the errors. */
  private async everywhere<T>(items: T[], clusterOf: (item: T) => string, work: (item: T) => Promise<void>) {
    const byCluster = new Map<string, T[]>();
    for (const item of items) byCluster.set(clusterOf(item), [...(byCluster.get(clusterOf(item)) ?? []), item]);
    const all = [...byCluster.values()].map(list => inGrowingBatches(list, this.options.batch, work));
    return (await Promise.all(all)).flatMap(({ errors }) => errors);
  }

  private async delete(key: string, { cell }: CellDeletion): Promise<void> {
    if (!cell.object) return;
    const { uid } = cell.object.metadata;
    const { expectations, signal } = this.options;
    expectations.expectDeletion(key, uid);
    try {
      await this.client(cell.place.kubernetesCluster).delete(resources.rayClusters, cell.object, signal);
    } catch (error) {
      // Gone already, or another by its name: what we wanted, and the watch will say so.
      if (isNotFound(error) || isConflict(error)) return;
      expectations.deletionFailed(key, uid);
      throw error;
    }
  }

  private async create(key: string, effect: CellEffect): Promise<void> {
    const { expectations, signal } = this.options;
    const { name } = effect.manifest.metadata;
    expectations.expectCreation(key, name);
    try {
      await this.apply(effect);
    } catch (error) {
      const unanswered = error instanceof ApiError && error.status === 0 && !signal.aborted;
      if (unanswered) {
        // Applied once more under the same name, it is made once whatever became of the first time.
        await sleep(500, undefined, { signal });
        await this.apply(effect);
        return;
      }
      expectations.creationFailed(key, name);
      throw error;
    }
  }

  private async apply({ kubernetesCluster, manifest }: CellEffect): Promise<void> {
    const client = this.client(kubernetesCluster);
    await client.apply(resources.rayClusters, manifest, operatorName, '', this.options.signal);
  }

  private client(kubernetesCluster: string): KubernetesClient {
    const client = this.options.clientOf(kubernetesCluster);
    if (!client) throw new Error(`no Kubernetes cluster ${kubernetesCluster} is known`);
    return client;
  }
}
