/** What goes wrong: machines that die, are cut off or leave, heads, the control plane itself, probes, and prices. */
import { isFenced, leaseEndsMs, type Sighting } from '@iocloud/control-plane/core/queueing';
import type { Priced } from './grounds.js';
import type { Execution } from './records.js';
import type { Fault } from './scenario.js';
import type { World } from './world.js';

/** Silence after which a machine gets no new work, and after which its lease is over. */
const noticeMs = 5_000;
const silenceMs = 60_000;
/** To move away from a machine that leaves. */
const drainGraceMs = 30_000;
const doubtful: readonly Sighting[] = ['slow', 'timedOut', 'refused', 'unreachable'];

export class Failures<Request, Placement extends Priced> {
  #listeningSinceMs = 0;
  #downUntilMs = 0;
  /** Since when a machine cannot be heard. */
  readonly #silentSince = new Map<string, number>();
  readonly #dead = new Set<string>();
  readonly #draining = new Set<string>();

  constructor(readonly world: World<Request, Placement>) {}

  /** The control plane does not work just now. */
  get isDown(): boolean {
    return this.#downUntilMs > this.world.nowMs;
  }

  get allIsWell(): boolean {
    return !this.isDown && this.#silentSince.size === 0 && this.#draining.size === 0;
  }

  isDead(machineId: string): boolean {
    return this.#dead.has(machineId);
  }

  isSilent({ machines }: Execution<Request, Placement>): boolean {
    return this.#silentSince.size > 0 && machines.some(machineId => this.#silentSince.has(machineId));
  }

  /** At once, or when the control plane is up again. */
  whenUp(run: () => void): void {
    if (this.isDown) this.world.timeline.at(this.#downUntilMs, run);
    else run();
  }

  strike(fault: Fault): void {
    const { world } = this;
    world.tally.strikes(fault);
    world.lastNewsMs = world.nowMs;
    switch (fault.kind) {
      case 'machine':
      case 'partition':
        this.#silence(fault);
        break;
      case 'drain':
        this.#drain(fault);
        break;
      case 'head':
        this.#headDies(fault);
        break;
      case 'control-plane':
        this.#downUntilMs = Math.max(this.#downUntilMs, world.nowMs + fault.lastsMs);
        world.timeline.at(this.#downUntilMs, () => this.#comesBack());
        break;
      case 'price':
        world.ground.setPrice(fault.model, fault.permille);
        this.#groundChanged();
        break;
      case 'probes':
        this.#badProbes(fault);
        break;
    }
  }

  #groundChanged(): void {
    this.whenUp(() => this.world.groundChanged());
  }

  #comesBack(): void {
    if (this.isDown) return;
    this.#listeningSinceMs = this.world.nowMs;
    for (const machineId of this.#silentSince.keys()) this.#watch(machineId);
    // It has not heard what became of machines and prices meanwhile.
    this.world.groundChanged();
  }

  #silence({ kind, lastsMs, machine }: Extract<Fault, { lastsMs: number; machine: number }>): void {
    const { world } = this;
    const { nowMs, timeline, attempts } = world;
    const { machineId } = world.scenario.machines[machine] ?? {};
    if (machineId === undefined || this.#silentSince.has(machineId)) return;
    this.#silentSince.set(machineId, nowMs);
    if (kind === 'machine') {
      this.#dead.add(machineId);
      for (const execution of world.executions.on(machineId)) {
        if (execution.alive) attempts.save(execution);
        attempts.dies(execution);
        execution.unheard = null;
      }
    }
    timeline.at(nowMs + noticeMs, () => {
      if (!this.#silentSince.has(machineId)) return;
      world.ground.remove(machineId);
      this.#groundChanged();
    });
    this.#watch(machineId);
    timeline.at(nowMs + lastsMs, () => this.#heal(machineId));
  }

  #watch(machineId: string): void {
    const { world } = this;
    const sinceMs = this.#silentSince.get(machineId) ?? world.nowMs;
    world.timeline.at(leaseEndsMs(sinceMs, this.#listeningSinceMs, silenceMs), () => {
      if (this.isDown || this.#silentSince.get(machineId) !== sinceMs) return;
      if (leaseEndsMs(sinceMs, this.#listeningSinceMs, silenceMs) > world.nowMs) return;
      for (const execution of world.executions.on(machineId)) {
        if (execution.alive) world.attempts.save(execution);
        world.attempts.sighted(execution, 'leaseOver');
      }
    });
  }

  #heal(machineId: string): void {
    const { attempts, executions, ground } = this.world;
    this.#silentSince.delete(machineId);
    this.#dead.delete(machineId);
    if (!this.#draining.has(machineId)) ground.restore(machineId);
    for (const execution of executions.on(machineId)) {
      if (isFenced(execution.attempt, execution.record.live)) {
        // It says what it has to say, and is then told that it is over.
        if (execution.unheard === null) attempts.dies(execution);
        attempts.say(execution);
        if (!execution.alive) executions.delete(execution);
      } else if (!execution.alive && execution.unheard === null)
        this.whenUp(() => attempts.sighted(execution, 'headExited'));
      else attempts.say(execution);
    }
    if (!this.world.terms.bugs.has('unheard-return')) this.#groundChanged();
  }

  /** It takes nothing new, and what runs there is told to go elsewhere. */
  #drain({ lastsMs, machine }: Extract<Fault, { lastsMs: number; machine: number }>): void {
    const { world } = this;
    const { machineId } = world.scenario.machines[machine] ?? {};
    if (machineId === undefined || this.#draining.has(machineId)) return;
    this.whenUp(() => {
      this.#draining.add(machineId);
      world.ground.remove(machineId);
      for (const { record, attempt } of world.executions.on(machineId)) {
        if (record.live === attempt) world.attempts.signal(record, world.nowMs + drainGraceMs);
      }
      world.groundChanged();
      world.timeline.at(world.nowMs + lastsMs, () => {
        this.#draining.delete(machineId);
        if (!this.#silentSince.has(machineId)) world.ground.restore(machineId);
        this.#groundChanged();
      });
    });
  }

  #headDies({ machine, pick }: Extract<Fault, { kind: 'head' }>): void {
    const { executions, scenario, attempts } = this.world;
    const { machineId } = scenario.machines[machine] ?? {};
    const here = executions.on(machineId ?? '').filter(one => one.alive && !this.isSilent(one));
    const execution = here[pick % Math.max(1, here.length)];
    if (!execution) return;
    attempts.save(execution);
    attempts.dies(execution);
    this.whenUp(() => attempts.sighted(execution, 'headExited'));
  }

  #badProbes({ each, words }: Extract<Fault, { kind: 'probes' }>): void {
    const { world } = this;
    this.whenUp(() => {
      for (const execution of world.executions.all()) {
        for (let count = 0; count < each && execution.alive; count += 1) {
          for (const word of words ?? [world.random.pick(doubtful)]) {
            world.tally.badProbes += 1;
            world.attempts.sighted(execution, word);
          }
        }
      }
    });
  }
}
