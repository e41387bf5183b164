/**
 * Reads the load of every ready cluster again and again, and has those that are autoscaled sized by it.
 *
 * One request of some hundred bytes for each ready cluster in `calmIntervalMs` (`keenIntervalMs` where a group is
 * autoscaled), spread over that time, at most `maxAtOnce` under way, none for a cluster that is not ready. The head
 * answers it in about a millisecond, with 0.4 KB for each of its nodes; a reading costs this process 1.4 ms of CPU and
 * what the tunnel takes. So with very many clusters each is read less often, `spacingMs` for every cluster, though never so
 * rarely that what is known of it would be out of date.
 */
import type { ClusterId, ClusterLoad } from '@iocloud/contracts';
import type { Database, Logger } from '../platform/index.js';
import { type AutoscaleWiring, autoscale } from './autoscale.js';
import { loadOf, maxAgeMs } from './load.js';
import { loadsOf, sweepLoads, writeLoad } from './load-store.js';
import { HeadUnavailable } from './ports.js';
import type { ResourceState } from './ray-state/index.js';

const tickMs = 500;
const calmIntervalMs = 5_000;
const keenIntervalMs = 2_000;
const spacingMs = 30;
const longestIntervalMs = (maxAgeMs * 2) / 3;
/** A head that did not answer is asked again after so many intervals. */
const patience = 3;
const maxAtOnce = 64;
const sweepIntervalMs = 60_000;

interface Wiring extends AutoscaleWiring {
  database: Database;
  log: Logger;
  random(n: number): Uint8Array;
  state(clusterId: ClusterId): Promise<ResourceState>;
}

interface Watched {
  dueMs: number;
  busy: boolean;
  load: ClusterLoad | null;
}

export class LoadWatch {
  readonly #watched = new Map<ClusterId, Watched>();
  readonly #reading = new Set<Promise<void>>();
  #turn: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweptMs = 0;
  #stopped = false;

  constructor(readonly wiring: Wiring) {}

  start(): void {
    this.#timer = setTimeout(() => {
      this.#turn = this.tick()
        .catch((error: unknown) => this.wiring.log.warn({ err: error }, 'loads could not be read; again soon'))
        .finally(() => {
          if (!this.#stopped) this.start();
        });
    }, tickMs);
  }

  /** Begins to read what is due, the longest due first. */
  async tick(): Promise<void> {
    const nowMs = this.wiring.now().getTime();
    const { rows } = await this.wiring.database.query<{ id: ClusterId; autoscaled: boolean }>({
      name: 'ready-clusters',
      text: `SELECT id, jsonb_path_exists(spec, '$.workerGroups[*].maxCount') AS autoscaled
             FROM clusters WHERE phase = 'ready' AND desired = 'running' ORDER BY id`,
    });
    const intervalOf = (autoscaled: boolean) =>
      Math.min(longestIntervalMs, Math.max(autoscaled ? keenIntervalMs : calmIntervalMs, spacingMs * rows.length));
    await this.#follow(
      rows.map(row => row.id),
      nowMs,
    );
    const due = rows.flatMap(({ id, autoscaled }) => {
      const watched = this.#watched.get(id);
      return watched && !watched.busy && watched.dueMs <= nowMs ? [{ id, autoscaled, watched }] : [];
    });
    due.sort((left, right) => left.watched.dueMs - right.watched.dueMs);
    for (const { id, autoscaled, watched } of due) {
      if (this.#reading.size >= maxAtOnce || this.#stopped) break;
      watched.busy = true;
      const reading = this.#read(id, watched, intervalOf(autoscaled), autoscaled).finally(() =>
        this.#reading.delete(reading),
      );
      this.#reading.add(reading);
    }
    if (nowMs - this.#sweptMs > sweepIntervalMs) {
      this.#sweptMs = nowMs;
      await sweepLoads(this.wiring.database);
    }
  }

  /** Takes up clusters that have become ready, spread over the time in which all are read, and drops the others. */
  async #follow(ready: ClusterId[], nowMs: number): Promise<void> {
    const now = new Set(ready);
    for (const id of this.#watched.keys()) if (!now.has(id)) this.#watched.delete(id);
    const found = ready.filter(id => !this.#watched.has(id));
    const loads = await loadsOf(this.wiring.database, found);
    for (const id of found) {
      const share = (this.wiring.random(1)[0] ?? 0) / 256;
      const dueMs = nowMs + share * Math.min(longestIntervalMs, spacingMs * found.length);
      this.#watched.set(id, { dueMs, busy: false, load: loads.get(id) ?? null });
    }
  }

  async #read(id: ClusterId, watched: Watched, intervalMs: number, autoscaled: boolean): Promise<void> {
    const { database, log, now } = this.wiring;
    let waitMs = intervalMs;
    try {
      const state = await this.wiring.state(id);
      const load = loadOf(state, watched.load, now());
      if (await writeLoad(database, id, watched.load, load)) watched.load = load;
      if (autoscaled) await autoscale(this.wiring, id, state);
    } catch (error) {
      waitMs = patience * intervalMs;
      const level = error instanceof HeadUnavailable ? 'debug' : 'warn';
      log[level]({ clusterId: id, error: String(error) }, 'a load could not be read or acted on; again soon');
    } finally {
      watched.busy = false;
      watched.dueMs = now().getTime() + waitMs;
    }
  }

  /** Starts nothing more and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#turn;
    await this.settled();
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.allSettled([...this.#reading]);
  }
}
