/**
 * Other Kubernetes clusters in which cells may be. Each is a kubeconfig in a directory, under the member's name: a Secret
 * that the administrator mounts. So the operator needs no right to read Secrets, nobody can make it use one by naming it in
 * an object, and a changed file is taken up as the kubelet renews it.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RayCluster } from '../../core/kubernetes-objects.js';
import { localCluster, megaLabels } from '../../core/mega/names.js';
import { KubernetesClient, type RequestObserver } from '../../kubernetes/client.js';
import { byKubeconfig } from '../../kubernetes/connection.js';
import { type ChangeKind, Informer } from '../../kubernetes/informer.js';
import { resources } from '../../kubernetes/resources.js';
import type { Logger } from '../../log.js';
import { keepWhole, megaKeyOf } from '../local-copies.js';

/** A watch that breaks and is taken up again within so long is no silence. */
export const silenceAfterMs = 5_000;
const lookEveryMs = 10_000;
const suffix = /\.(kubeconfig|ya?ml)$/;

export interface Member {
  client: KubernetesClient;
  cells: Informer<RayCluster>;
}

export const answers = ({ cells }: Member, nowMs: number) =>
  cells.isSynced && (cells.silentSinceMs === undefined || nowMs - cells.silentSinceMs < silenceAfterMs);

export interface MembersOptions {
  directory: string;
  namespace: string;
  log: Logger;
  observe: RequestObserver;
  signal: AbortSignal;
}

interface Entry extends Member {
  digest: string;
  synced: Promise<void>;
}

export class Members {
  private readonly entries = new Map<string, Entry>();
  private readonly cellHandlers: ((kind: ChangeKind, cell: RayCluster) => void)[] = [];
  private readonly changeHandlers: (() => void)[] = [];
  private running: Promise<void> | undefined;

  constructor(private readonly options: MembersOptions) {}

  onCell(handler: (kind: ChangeKind, cell: RayCluster) => void): void {
    this.cellHandlers.push(handler);
  }

  /** A member has come, gone, fallen silent or answered again. */
  onChange(handler: () => void): void {
    this.changeHandlers.push(handler);
  }

  get(name: string): Member | undefined {
    return this.entries.get(name);
  }

  names(): string[] {
    return [...this.entries.keys()];
  }

  /** Returns when all members are in, or a while later: one that is silent holds up nothing. */
  async start(): Promise<void> {
    if (this.options.directory === '') return;
    await this.look();
    const patience = sleep(silenceAfterMs, undefined, { signal: this.options.signal }).catch(() => undefined);
    await Promise.race([patience, Promise.all([...this.entries.values()].map(({ synced }) => synced))]);
    this.running = this.keepLooking();
  }

  async stop(): Promise<void> {
    await this.running;
    await Promise.all([...this.entries.values()].map(({ cells }) => cells.stop()));
  }

  private async keepLooking(): Promise<void> {
    const { signal } = this.options;
    while (!signal.aborted) {
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.look();
    }
  }

  private async look(): Promise<void> {
    const { directory, log } = this.options;
    let files: Map<string, string>;
    try {
      files = await kubeconfigs(directory);
    } catch (error) {
      // What cannot be read now says nothing against the members that there are.
      log.error({ err: error, directory }, 'the directory of the member clusters cannot be read');
      return;
    }
    for (const [name, entry] of this.entries) {
      const file = files.get(name);
      if (file !== undefined && (await digestOf(file)) === entry.digest) continue;
      this.entries.delete(name);
      void entry.cells.stop();
      log.info({ member: name, isGone: file === undefined }, 'a member cluster is taken up no more as it was');
      this.tell();
    }
    for (const [name, file] of files) if (!this.entries.has(name)) await this.add(name, file);
  }

  private async add(name: string, file: string): Promise<void> {
    const { log, namespace, observe } = this.options;
    try {
      const digest = await digestOf(file);
      const client = new KubernetesClient(await byKubeconfig(file), observe);
      const cells = new Informer<RayCluster>({
        client,
        log: log.child({ member: name }),
        resource: resources.rayClusters,
        namespace,
        labelSelector: megaLabels.cluster,
        keep: keepWhole,
        ownerKey: megaKeyOf,
      });
      cells.onChange((kind, cell) => {
        for (const handler of this.cellHandlers) handler(kind, cell);
      });
      cells.onSilence(() => this.tell());
      const synced = cells.start().then(() => {
        log.info({ member: name, cells: cells.objects.size }, 'following a member cluster');
        this.tell();
      });
      this.entries.set(name, { client, cells, digest, synced });
    } catch (error) {
      log.error({ err: error, member: name }, 'the kubeconfig of a member cluster cannot be used');
    }
  }

  private tell(): void {
    for (const handler of this.changeHandlers) handler();
  }
}

/** Names with a leading dot are the kubelet's own, by which it changes a Secret's files all at once. */
async function kubeconfigs(directory: string): Promise<Map<string, string>> {
  const names = (await readdir(directory)).filter(name => !name.startsWith('.')).sort();
  const files = names.map((name): [string, string] => [name.replace(suffix, ''), join(directory, name)]);
  return new Map(files.filter(([name]) => name !== localCluster));
}

const digestOf = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
