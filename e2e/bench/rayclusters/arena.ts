/** A bed for the operator and, in turns, for the bare client that makes as many like pods and nothing else. */
import { readFileSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import {
  collectionPath,
  type KubernetesClient,
  labels,
  type ObjectList,
  type Pod,
  resources,
} from '@iocloud/ray-operator';
import { Bed } from '../../kubernetes/bed.js';
import { cpuSecondsOf } from '../../kubernetes/component.js';
import { installOperator, OperatorProcess } from '../../kubernetes/operator-process.js';
import { until } from '../../src/harness/index.js';
import { copyOf, each, podIsReady, timed } from './pods.js';

/** What the operator has spent since it was started or last asked. */
export interface Cost {
  cpuSeconds: number;
  requests: number;
  writes: number;
}

export class Arena {
  /** What the operator makes, to be made again by hand. */
  private head: Pod | undefined;
  private worker: Pod | undefined;
  private operator: OperatorProcess | undefined;
  private before: Cost = { cpuSeconds: 0, requests: 0, writes: 0 };

  private constructor(
    readonly bed: Bed,
    readonly admin: KubernetesClient,
  ) {}

  /** Ends the process when it is not done in time. */
  static async run(limitMinutes: number, nodes: number, work: (arena: Arena) => Promise<void>): Promise<void> {
    let bed: Bed | undefined;
    const limit = setTimeout(() => {
      process.stderr.write(`not done within ${limitMinutes} minutes\n`);
      // What the bed runs ends with this process; its files would not.
      if (bed) rmSync(bed.directory, { recursive: true, force: true });
      process.exit(1);
    }, limitMinutes * 60_000);
    bed = await Bed.start({ kwok: true, prepare: installOperator });
    const arena = new Arena(bed, await bed.admin());
    try {
      await bed.addNodes(nodes);
      await bed.kubectl('create', 'namespace', 'bare');
      await work(arena);
    } finally {
      clearTimeout(limit);
      await arena.operator?.stop();
      await bed.stop();
    }
  }

  readonly loadBefore = loadavg()[0];

  pods(namespace: string): string {
    return collectionPath(resources.pods, namespace);
  }

  async startOperator(): Promise<OperatorProcess> {
    this.operator = await OperatorProcess.start(this.bed, { RAY_OPERATOR_LEASE_SECONDS: '15' });
    await this.operator.said('following');
    await this.cost();
    return this.operator;
  }

  async stopOperator(): Promise<void> {
    await this.operator?.stop();
    this.operator = undefined;
  }

  async cost(): Promise<Cost> {
    const operator = this.running();
    const count = (method: string) => operator.metric('rest_client_requests_total', method && `method="${method}"`);
    const writes = (await count('POST')) + (await count('PATCH')) + (await count('DELETE'));
    const now = { cpuSeconds: await cpuSecondsOf(operator.pid), requests: await count(''), writes };
    const { before } = this;
    this.before = now;
    return {
      cpuSeconds: now.cpuSeconds - before.cpuSeconds,
      requests: now.requests - before.requests,
      writes: now.writes - before.writes,
    };
  }

  /** `VmRSS` or `VmHWM`, its highest so far. */
  memoryMiB(field: 'VmRSS' | 'VmHWM'): number {
    const status = readFileSync(`/proc/${this.running().pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  }

  /** For the bare client, from a cluster that stands. */
  async takeSamples(labelSelector: string): Promise<void> {
    const { items } = await this.admin.get<ObjectList<Pod>>(this.pods('default'), { labelSelector });
    this.head = items.find(({ metadata }) => metadata.labels?.[labels.nodeType] === 'head');
    this.worker = items.find(({ metadata }) => metadata.labels?.[labels.nodeType] === 'worker');
  }

  /** Seconds until as many pods are ready as the clusters have. */
  async bare(heads: number, workers: number): Promise<number> {
    const manifests = Array.from({ length: heads + workers }, (_, index) =>
      copyOf(index < heads ? this.head : this.worker, index),
    );
    const seconds = await timed<Pod>(this.admin, this.pods('bare'), manifests.length, podIsReady, () =>
      each(manifests, manifest => this.admin.create(resources.pods, manifest)),
    );
    await this.bed.kubectl('-n', 'bare', 'delete', 'pods', '--all', '--wait=false');
    await this.empty('bare');
    return seconds;
  }

  async empty(namespace: string): Promise<void> {
    await until('no pod is left', 300_000, async () => {
      const list = await this.admin.get<ObjectList<Pod>>(this.pods(namespace), { limit: '1' });
      return list.items.length === 0;
    });
  }

  private running(): OperatorProcess {
    if (!this.operator) throw new Error('the operator is not running');
    return this.operator;
  }
}
