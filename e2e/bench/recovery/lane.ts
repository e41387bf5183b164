/**
 * Two machines with a cluster each, of which one is warm while the other is struck. Lanes know nothing of each other: while
 * one waits for a fence or for a cluster, the others go on. A job keeps to its lane by a resource that only its heads have.
 */
import {
  counting,
  countingTask,
  letFinish,
  type Machine,
  type Mark,
  marksOf,
  type Stack,
  until,
} from '../../src/harness/index.js';
import type { Kind } from './kinds.js';

export interface Outcome {
  /** From the fault until it was on record; null where nothing has failed. */
  detectedMs: number | null;
  /** Until the struck attempt was given up; null where none was. */
  givenUpMs: number | null;
  /** Until the job's first line after it. */
  backMs: number;
}

interface Job {
  clusterId: string;
  attempts: { outcome: string | null; endedAt: string | null }[];
}

const stepsNeverReached = 1_000_000;
/** So many steps are done before the fault, and must not be done again where there is a checkpoint. */
const stepsBefore = 4;

export class Lane {
  readonly #clusters: string[] = [];

  private constructor(
    readonly stack: Stack,
    readonly number: number,
    readonly machines: [Machine, Machine],
  ) {}

  static async up(stack: Stack, number: number, ownNetwork: boolean): Promise<Lane> {
    const machine = (side: string) => stack.machine(`lane-${number}-${side}`, { cpus: 3, ownNetwork });
    const lane = new Lane(stack, number, [await machine('a'), await machine('b')]);
    // The machines have no room for more than these two; and a cluster that is placed anew keeps to its lane.
    const region = lane.#resource;
    for (const { id } of lane.machines) await lane.#change('PATCH', `nodes/${id}/terms`, { region });
    const resources = { [lane.#resource]: 100 };
    const workerGroups = [{ name: 'w', cpus: 1, count: 1, resources: { there: 1 } }];
    const head = { cpus: 2, resources };
    for (const spec of [{ head, workerGroups }, { head: { cpus: 3, resources } }]) {
      const name = `lane-${number}-${lane.#clusters.length}`;
      lane.#clusters.push((await stack.cluster(name, { ...spec, requirements: { regions: [region] } })).id as string);
    }
    return lane;
  }

  get #resource(): string {
    return `lane${this.number}`;
  }

  /** Both clusters are there, workers and all. */
  async ready(timeoutMs: number): Promise<void> {
    await until(`lane ${this.number} is ready`, timeoutMs, async () => {
      const shown = await Promise.all(this.#clusters.map(id => this.#show(`clusters/${id}`)));
      return shown.every(
        ({ phase, leases }) => phase === 'ready' && leases.every((one: { phase: string }) => one.phase === 'ready'),
      );
    });
  }

  /** One fault in the middle of a job. Throws with what was wrong; the lane may then need `restore`. */
  async strike(id: string, kind: Kind): Promise<Outcome> {
    await this.ready(180_000);
    await this.#submit(id, kind);
    const marks = () => marksOf(this.stack, id);
    await until(`${id} counts`, 90_000, () => marks().some(mark => mark.step >= stepsBefore));
    const { clusterId } = await this.#job(id);
    const side = await this.#sideOf(clusterId);
    const at = { lane: this, side };
    const struckAtMs = Date.now();
    await kind.strike(at);
    const again = await until(`${id} goes on`, 120_000, () => this.#goesOn(kind, marks(), struckAtMs));
    const detectedMs =
      kind.noticedBy && (await this.#noticed(kind.noticedBy, clusterId, side, struckAtMs)) - struckAtMs;
    await kind.heal(at);
    letFinish(this.stack, id);
    const { status } = await this.stack.ended(id, 60_000);
    await this.machines[side].online();
    const { attempts } = await this.#job(id);
    expectRight(kind, status, attempts, marks());
    const [first] = attempts;
    const givenUpMs = attempts.length > 1 && first?.endedAt ? Date.parse(first.endedAt) - struckAtMs : null;
    return { detectedMs, givenUpMs, backMs: again.atMs - struckAtMs };
  }

  #submit(id: string, kind: Kind): Promise<string> {
    const metadata = { 'io.grace_seconds': '3' };
    if (kind.job === 'task') {
      const bound = { ...metadata, 'io.cluster': this.#clusters[0] ?? '' };
      return this.stack.submit(countingTask(this.stack, id, stepsNeverReached), { submission_id: id, metadata: bound });
    }
    const needs = { entrypoint_resources: { [this.#resource]: 1 } };
    return this.stack.submit(counting(this.stack, id, stepsNeverReached), { submission_id: id, metadata, ...needs });
  }

  /** The first line of the next attempt or task; of a job that nothing happens to, its next line but one. */
  #goesOn({ job, outcomes }: Kind, marks: Mark[], struckAtMs: number): Mark | undefined {
    const after = marks.filter(mark => mark.atMs > struckAtMs);
    if (job === 'task' || outcomes.length > 1) return after.find(({ what }) => what === 'began');
    return after[1];
  }

  async #noticed(
    { subject, reason }: NonNullable<Kind['noticedBy']>,
    clusterId: string,
    side: 0 | 1,
    struckAtMs: number,
  ): Promise<number> {
    const id = subject === 'machine' ? this.machines[side].id : clusterId;
    return until(`${reason} of ${id} is on record`, 30_000, async () => {
      for (let after = 0; ; ) {
        const { items, next } = await this.#show(`events?limit=1000&subject=${id}&after=${after}`);
        const event = items.find((one: { at: string; reason: string }) => {
          return one.reason === reason && Date.parse(one.at) >= struckAtMs;
        });
        if (event) return Date.parse(event.at);
        if (next === null) return null;
        after = Number(next);
      }
    });
  }

  async #sideOf(clusterId: string): Promise<0 | 1> {
    const { leases } = await this.#show(`clusters/${clusterId}`);
    const side = this.machines.findIndex(({ id }) => id === leases[0]?.nodeId);
    if (side !== 0 && side !== 1) throw new Error(`the job runs outside its lane, on cluster ${clusterId}`);
    return side;
  }

  #job(id: string): Promise<Job> {
    return this.#show(`jobs/${id}`);
  }

  async #change(method: string, path: string, wish?: object): Promise<void> {
    const { status, body } = await this.stack.call(method, `/v1/${path}`, wish);
    if (status >= 300) throw new Error(`${method} /v1/${path} answered ${status}: ${JSON.stringify(body)}`);
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  async #show(path: string): Promise<any> {
    const { status, body } = await this.stack.call('GET', `/v1/${path}`);
    if (status !== 200) throw new Error(`GET /v1/${path} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  async drain(side: 0 | 1, away: boolean): Promise<void> {
    const path = `nodes/${this.machines[side].id}/${away ? 'drain' : 'undrain'}`;
    await this.#change('POST', path, away ? { graceSeconds: 30, reason: 'bench' } : undefined);
  }

  /** After a strike that failed: the job goes, and whatever a fault may have left is undone. */
  async restore(id: string): Promise<void> {
    letFinish(this.stack, id);
    await this.stack.call('POST', `/api/jobs/${id}/stop`);
    for (const side of [0, 1] as const) {
      const machine = this.machines[side];
      await machine.network?.heal();
      machine.signalAgent('SIGCONT');
      if (!machine.agentLives) machine.start();
      await this.drain(side, false);
    }
    await this.ready(240_000);
  }
}

/** The end is right, it came once, one ran at a time, and where there are checkpoints it went on from one. */
function expectRight(kind: Kind, status: string, attempts: Job['attempts'], marks: Mark[]): void {
  const outcomes = attempts.map(({ outcome }) => outcome);
  const began = marks.filter(({ what }) => what === 'began');
  const second = began[1];
  const wrong = [
    status !== 'SUCCEEDED' && `it is ${status}`,
    String(outcomes) !== String(kind.outcomes) && `its attempts are ${outcomes}`,
    marks.filter(({ what }) => what === 'finished').length !== 1 && 'it did not finish once',
    began.length !== (kind.job === 'task' ? 2 : kind.outcomes.length) && `it began ${began.length} times`,
    kind.job === 'program' && second && second.step < stepsBefore && `it went on from step ${second.step}`,
    kind.job === 'program' &&
      second &&
      marks.some(mark => mark.attempt === 1 && mark.atMs > second.atMs) &&
      'both attempts ran at once',
  ].filter(Boolean);
  if (wrong.length > 0) throw new Error(wrong.join('; '));
}
