/** Machines of a few kinds, each with devices that are alike: small and quick. */
import {
  DevicePools,
  type GroundRefusal,
  isRefusal,
  type PoolMachine,
  type PoolPlacement,
  type PoolRequest,
} from '@iocloud/control-plane/core/queueing';
import type { Claim, SimulatedGround } from './grounds.js';

export class PoolsGround extends DevicePools implements SimulatedGround<PoolRequest, PoolPlacement> {
  readonly #all = new Map<string, PoolMachine>();
  readonly #away = new Set<string>();
  readonly #prices = new Map<string, number>();

  constructor(machines: readonly PoolMachine[]) {
    super();
    for (const machine of machines) {
      this.#all.set(machine.machineId, machine);
      this.#prices.set(machine.kind, machine.microUsdPerDeviceHour);
      this.add(machine);
    }
  }

  override remove(machineId: string): void {
    this.#away.add(machineId);
    super.remove(machineId);
  }

  restore(machineId: string): void {
    const machine = this.#all.get(machineId);
    if (machine && this.#away.delete(machineId)) super.add(machine);
  }

  override setPrice(kind: string, permille: number): void {
    super.setPrice(kind, Math.round(((this.#prices.get(kind) ?? 0) * permille) / 1_000));
  }

  concerns({ kind }: PoolRequest, { parts }: PoolPlacement): boolean {
    return parts.some(({ machineId }) => this.#all.get(machineId)?.kind === kind);
  }

  machinesOf({ parts }: PoolPlacement): readonly string[] {
    return [...new Set(parts.map(({ machineId }) => machineId))];
  }

  claimsOf({ parts }: PoolPlacement): Claim[] {
    return parts.flatMap(({ machineId, devices }) =>
      devices.map(device => ({ of: `device ${device} of ${machineId}`, amount: 1, whole: 1 })),
    );
  }

  shortcoming(
    { kind, workers, devicesEach }: PoolRequest,
    { parts, microUsdPerHour }: PoolPlacement,
    maxMicroUsdPerHour: number | null,
  ): string | null {
    const whole = parts.length === workers && parts.every(({ devices }) => new Set(devices).size === devicesEach);
    if (!whole) return `it is not ${workers} times ${devicesEach} devices`;
    if (parts.some(({ machineId }) => this.#all.get(machineId)?.kind !== kind)) return `not all are of kind ${kind}`;
    if (maxMicroUsdPerHour !== null && microUsdPerHour > maxMicroUsdPerHour)
      return `it costs ${microUsdPerHour} micro-USD an hour, ${maxMicroUsdPerHour} at most were allowed`;
    return null;
  }

  noHarder(one: PoolRequest, other: PoolRequest): boolean {
    return one.kind === other.kind && one.workers <= other.workers && one.devicesEach <= other.devicesEach;
  }

  contradiction(): null {
    return null;
  }

  couldCarry({ kind, workers, devicesEach }: PoolRequest): boolean {
    let room = 0;
    for (const machine of this.#all.values()) {
      if (machine.kind === kind) room += Math.floor(machine.devices / devicesEach);
    }
    return room >= workers;
  }
}

/** A ground with a fault in it, to see that the checks find it: it forgets at times what has been taken. */
export class ForgetfulPools extends PoolsGround {
  #taken = 0;

  override take(holder: string, placement: PoolPlacement): void {
    this.#taken += 1;
    super.take(holder, placement);
    if (this.#taken % 10 === 0) super.release(holder);
  }
}

/** A ground with a fault in it: it leaves out the last worker of a gang. */
export class PartialPools extends PoolsGround {
  override place(request: PoolRequest, maxMicroUsdPerHour: number | null): PoolPlacement | GroundRefusal {
    const answer = super.place(request, maxMicroUsdPerHour);
    return isRefusal(answer) || answer.parts.length === 1 ? answer : { ...answer, parts: answer.parts.slice(0, -1) };
  }
}
