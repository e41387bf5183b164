/**
 * Reads the load of every ready cluster again and again, and has those that are autoscaled sized by it.
 *
 * One request of some hundred bytes for each ready cluster in `calmIntervalMs` (`keenIntervalMs` where a group is
 * autoscaled), spread over that time, at most `maxAtOnce` under way, none for a cluster that is not ready; the head
 * answers it in about a millisecond, with 0.4 KB for each of its nodes.
 */
import type { ClusterId, ClusterLoad } from '@iocloud/contracts';
import type { Database, Logger } from '../platform/index.js';
import { type AutoscaleWiring, autoscale } from './autoscale.js';
import { loadOf } from './load.js';
import { loadsOf, sweepLoads, writeLoad } from './load-store.js';
import { HeadUnavailable } from './ports.js';
import type { ResourceState } from './ray-state/index.js';

const tickMs = 500;
const calmIntervalMs = 5_000;
const keenIntervalMs = 2_000;
/** A head that did not answer is asked again after so many intervals. */
const patience = 3;
const maxAtOnce = 16;
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
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #sweptMs = 0;
  #stopped = false;

  constructor(readonly wiring: Wiring) {}

  start(): void {
    this.#timer = setTimeout(() => {
      const turn = this.tick()
        .catch((error: unknown) => this.wiring.log.warn({ err: error }, 'loads could not be read; again soon'))
        .finally(() => {
          this.#underWay.delete(turn);
          if (!this.#stopped) this.start();
        });
      this.#underWay.add(turn);
    }, tickMs);
  }

  /** Begins to read what is due. */
  async tick(): Promise<void> {
    const { database, random } = this.wiring;
    const nowMs = this.wiring.now().getTime();
    const { rows } = await database.query<{ id: ClusterId; autoscaled: boolean }>({
      name: 'ready-clusters',
      text: `SELECT id, jsonb_path_exists(spec, '$.workerGroups[*].maxCount') AS autoscaled
             FROM clusters WHERE phase = 'ready' AND desired = 'running' ORDER BY id`,
    });
    const ready = new Set(rows.map(row => row.id));
    for (const id of this.#watched.keys()) if (!ready.has(id)) this.#watched.delete(id);
    for (const { id, autoscaled } of rows) {
      const intervalMs = autoscaled ? keenIntervalMs : calmIntervalMs;
      let watched = this.#watched.get(id);
      if (!watched) {
        const share = (random(1)[0] ?? 0) / 256;
        watched = {
          dueMs: nowMs + share * intervalMs,
          busy: false,
          load: (await loadsOf(database, [id])).get(id) ?? null,
        };
        this.#watched.set(id, watched);
      }
      if (watched.busy || watched.dueMs > nowMs || this.#underWay.size > maxAtOnce || this.#stopped) continue;
      watched.busy = true;
      const reading = this.#read(id, watched, intervalMs, autoscaled).finally(() => this.#underWay.delete(reading));
      this.#underWay.add(reading);
    }
    if (nowMs - this.#sweptMs > sweepIntervalMs) {
      this.#sweptMs = nowMs;
      await sweepLoads(database);
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
    await this.settled();
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled([...this.#underWay]);
  }
}
