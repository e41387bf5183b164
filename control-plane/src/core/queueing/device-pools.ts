/**
 * A small ground: machines of a few kinds, each with devices that are alike. Work asks for so many devices on each of so
 * many machines of one kind. Enough for trials of the queue, and for what has no need of more.
 */
import type { Ground, GroundRefusal } from './ground.js';

export interface PoolMachine {
  machineId: string;
  kind: string;
  devices: number;
  microUsdPerDeviceHour: number;
}

export interface PoolRequest {
  kind: string;
  /** Machines, each with so many devices: all of them or nothing. */
  workers: number;
  devicesEach: number;
}

export interface PoolPlacement {
  microUsdPerHour: number;
  parts: { machineId: string; devices: number[] }[];
}

interface Machine extends PoolMachine {
  /** Who has each device. */
  holders: (string | null)[];
  free: number;
  /** False once it has left: what is held of it may still be released, and taken back by whoever had it. */
  offered: boolean;
}

export class DevicePools implements Ground<PoolRequest, PoolPlacement> {
  readonly #machines = new Map<string, Machine>();
  /** By kind, then by how many of its devices are free. */
  readonly #kinds = new Map<string, Set<Machine>[]>();
  readonly #held = new Map<string, { machine: Machine; devices: number[] }[]>();

  /** A machine that comes back still has what is held of it. */
  add(machine: PoolMachine): void {
    const known = this.#machines.get(machine.machineId);
    if (known?.offered) throw new Error(`machine ${machine.machineId} is there already`);
    const { devices } = machine;
    const added = known ?? { ...machine, holders: new Array(devices).fill(null), free: devices, offered: true };
    added.offered = true;
    this.#machines.set(machine.machineId, added);
    this.#shelf(added).add(added);
  }

  /** What is held on it stays held until it is released, but nothing new goes there. */
  remove(machineId: string): void {
    const machine = this.#machines.get(machineId);
    if (!machine) return;
    this.#shelf(machine).delete(machine);
    machine.offered = false;
  }

  setPrice(kind: string, microUsdPerDeviceHour: number): void {
    for (const machine of this.#machines.values()) {
      if (machine.kind === kind) machine.microUsdPerDeviceHour = microUsdPerDeviceHour;
    }
  }

  place(request: PoolRequest, maxMicroUsdPerHour: number | null): PoolPlacement | GroundRefusal {
    const { kind, workers, devicesEach } = request;
    const shelves = this.#kinds.get(kind);
    if (!shelves) return { refused: `there is no machine of kind ${kind}` };
    const parts: PoolPlacement['parts'] = [];
    let microUsdPerHour = 0;
    // The fullest machines first, so that whole ones stay free for gangs.
    for (let free = devicesEach; free < shelves.length && parts.length < workers; free += 1) {
      for (const machine of shelves[free] ?? []) {
        for (const devices of freeOf(machine, devicesEach, workers - parts.length)) {
          parts.push({ machineId: machine.machineId, devices });
          microUsdPerHour += devicesEach * machine.microUsdPerDeviceHour;
        }
        if (parts.length === workers) break;
      }
    }
    if (parts.length < workers) {
      return { refused: `${workers} times ${devicesEach} free ${kind} are wanted, there is room for ${parts.length}` };
    }
    if (maxMicroUsdPerHour !== null && microUsdPerHour > maxMicroUsdPerHour) {
      return { refused: `it costs ${microUsdPerHour} micro-USD an hour` };
    }
    return { microUsdPerHour, parts };
  }

  take(holder: string, { parts }: PoolPlacement): void {
    if (this.#held.has(holder)) throw new Error(`${holder} holds a placement already`);
    for (const { machineId, devices } of parts) {
      const machine = this.#machines.get(machineId);
      const taken = devices.find(device => machine?.holders[device] !== null);
      if (taken !== undefined) {
        const who = machine ? machine.holders[taken] : 'nobody: there is no such machine';
        throw new Error(`${holder} cannot take device ${taken} of ${machineId}: it is held by ${who}`);
      }
    }
    this.#hold(holder, parts);
  }

  reserve(holder: string, { parts }: PoolPlacement): void {
    const free = parts.map(({ machineId, devices }) => ({
      machineId,
      devices: devices.filter(device => this.#offered(machineId)?.holders[device] === null),
    }));
    this.#hold(
      holder,
      free.filter(({ devices }) => devices.length > 0),
    );
  }

  release(holder: string): void {
    for (const { machine, devices } of this.#held.get(holder) ?? []) this.#set(machine, devices, null);
    this.#held.delete(holder);
  }

  touch(one: PoolPlacement, other: PoolPlacement): boolean {
    const machines = new Set(one.parts.map(({ machineId }) => machineId));
    return other.parts.some(({ machineId }) => machines.has(machineId));
  }

  #offered(machineId: string): Machine | null {
    const machine = this.#machines.get(machineId);
    return machine?.offered ? machine : null;
  }

  #hold(holder: string, parts: PoolPlacement['parts']): void {
    const held: { machine: Machine; devices: number[] }[] = [];
    for (const { machineId, devices } of parts) {
      const machine = this.#machines.get(machineId);
      if (!machine) continue;
      held.push({ machine, devices });
      this.#set(machine, devices, holder);
    }
    this.#held.set(holder, held);
  }

  #set(machine: Machine, devices: number[], holder: string | null): void {
    if (machine.offered) this.#shelf(machine).delete(machine);
    for (const device of devices) machine.holders[device] = holder;
    machine.free += holder === null ? devices.length : -devices.length;
    if (machine.offered) this.#shelf(machine).add(machine);
  }

  #shelf({ kind, free }: Machine): Set<Machine> {
    const shelves = this.#kinds.get(kind) ?? [];
    this.#kinds.set(kind, shelves);
    shelves[free] ??= new Set<Machine>();
    return shelves[free];
  }
}

/** Of the machine's free devices, the first ones in groups of `each`, at most so many. */
function freeOf({ holders }: Machine, each: number, most: number): number[][] {
  const groups: number[][] = [];
  let group: number[] = [];
  for (let device = 0; device < holders.length && groups.length < most; device += 1) {
    if (holders[device] !== null) continue;
    group.push(device);
    if (group.length < each) continue;
    groups.push(group);
    group = [];
  }
  return groups;
}
