/** What the simulated work runs on. */
import {
  DevicePools,
  type Ground,
  type PoolMachine,
  type PoolPlacement,
  type PoolRequest,
} from '@iocloud/control-plane/core/queueing';

export interface SimulatedGround extends Ground<PoolRequest, PoolPlacement> {
  add(machine: PoolMachine): void;
  /** Nothing new goes there. */
  remove(machineId: string): void;
  restore(machineId: string): void;
  setPrice(kind: string, microUsdPerDeviceHour: number): void;
}

export class PoolsGround extends DevicePools implements SimulatedGround {
  readonly #away = new Map<string, PoolMachine>();
  readonly #all = new Map<string, PoolMachine>();

  override add(machine: PoolMachine): void {
    this.#all.set(machine.machineId, machine);
    super.add(machine);
  }

  override remove(machineId: string): void {
    const machine = this.#all.get(machineId);
    if (machine) this.#away.set(machineId, machine);
    super.remove(machineId);
  }

  restore(machineId: string): void {
    const machine = this.#away.get(machineId);
    if (machine && this.#away.delete(machineId)) super.add(machine);
  }
}

/** A ground with a fault in it, to see that the checks find it: it forgets at times what has been taken. */
export class ForgetfulGround extends PoolsGround {
  #taken = 0;

  override take(holder: string, placement: PoolPlacement): void {
    this.#taken += 1;
    super.take(holder, placement);
    if (this.#taken % 10 === 0) super.release(holder);
  }
}
