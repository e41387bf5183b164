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

export class CellEffects {
  constructor(private readonly options: CellEffectsOptions) {}

  /** A failure of one kind of work keeps none of the others. */
  async carryOut(key: string, plan: MegaPlan): Promise<CellFailure | undefined> {
    const { batch } = this.options;
    const { errors: undeleted } = await inGrowingBatches(plan.deletions, batch, each => this.delete(key, each));
    const { errors: unchanged } = await inGrowingBatches(plan.updates, batch, each => this.apply(each));
    const { errors: unmade } = await inGrowingBatches(plan.creations, batch, each => this.create(key, each));
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
