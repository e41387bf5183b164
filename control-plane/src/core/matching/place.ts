/** Placement of Ray nodes that go to one machine together: all of a cluster's, wherever one can carry them. */
import type { Device, NodeId } from '@iocloud/contracts';
import { assignDevices, matches } from './devices.js';

/** What of a machine is taken: logical CPUs, bytes, device indices. */
export interface Use {
  cpus: number;
  memoryBytes: number;
  devices: number[];
}

/** A machine with all that it offers and what of it is taken. */
export interface Offer {
  nodeId: NodeId;
  name: string;
  cpus: number;
  memoryBytes: number;
  devices: Device[];
  rayVersions: string[];
  /** 0 to 1. */
  reputation: number;
  used: Use;
}

/** One Ray node to be placed. Without `memoryBytes` it gets the machine's memory in proportion to its CPUs. */
export interface Want {
  key: string;
  cpus: number;
  gpus: number;
  memoryBytes?: number | undefined;
  accelerator?: string | undefined;
}

export interface Assignment {
  key: string;
  memoryBytes: number;
  deviceIndices: number[];
}

export interface Placement {
  nodeId: NodeId;
  assignments: Assignment[];
}

export const empty: Use = { cpus: 0, memoryBytes: 0, devices: [] };
/** A Ray node whose memory nobody stated gets at least so much. Bytes. */
export const defaultMemoryFloorBytes = 2 ** 30;
/** Nobody reads more of them. */
const reasonsSaid = 8;
/** CPUs may be fractions, whose sums err in the last digit. */
const cpuTolerance = 1e-9;

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
const gibibytes = (bytes: number) => `${Math.round((bytes / 2 ** 30) * 10) / 10} GiB`;
const round = (cpus: number) => Math.round(cpus * 1000) / 1000;

/** All wants on one machine, or the reason in words why they do not fit there. */
function fit(wants: Want[], rayVersion: string, machine: Offer): Assignment[] | string {
  if (!machine.rayVersions.includes(rayVersion)) {
    return `offers Ray ${machine.rayVersions.join(', ') || '(none)'}, not ${rayVersion}`;
  }
  const freeCpus = machine.cpus - machine.used.cpus;
  const cpus = sum(wants.map(want => want.cpus));
  if (cpus > freeCpus + cpuTolerance) {
    return `${round(cpus)} CPUs are wanted, ${round(Math.max(0, freeCpus))} of ${round(machine.cpus)} are free`;
  }
  const memory = shareMemory(wants, machine);
  if (typeof memory === 'string') return memory;
  const free = machine.devices.filter(device => !machine.used.devices.includes(device.index));
  const devices = assignDevices(wants, free);
  if (!devices) return missingDevices(wants, machine.devices, free);
  return wants.map((want, index) => ({
    key: want.key,
    memoryBytes: memory[index] ?? 0,
    deviceIndices: devices[index] ?? [],
  }));
}

/** Stated amounts as they are; the others get their CPUs' share of the machine, less where less is free. */
function shareMemory(wants: Want[], machine: Offer): number[] | string {
  const free = machine.memoryBytes - machine.used.memoryBytes;
  const unstated = wants.filter(want => want.memoryBytes === undefined);
  const least = sum(wants.map(want => want.memoryBytes ?? defaultMemoryFloorBytes));
  if (least > free) {
    return `${gibibytes(least)} of memory are wanted, ${gibibytes(Math.max(0, free))} of ${gibibytes(machine.memoryBytes)} are free`;
  }
  const extra = (want: Want) =>
    Math.max(0, machine.memoryBytes * (machine.cpus > 0 ? want.cpus / machine.cpus : 0) - defaultMemoryFloorBytes);
  const wanted = sum(unstated.map(extra));
  const scale = wanted > 0 ? Math.min(1, (free - least) / wanted) : 0;
  return wants.map(want => want.memoryBytes ?? defaultMemoryFloorBytes + Math.floor(extra(want) * scale));
}

function missingDevices(wants: Want[], all: Device[], free: Device[]): string {
  const models = new Set(wants.filter(want => want.gpus > 0).map(want => want.accelerator));
  const lacking = [...models].map(model => {
    const count = sum(wants.filter(want => want.accelerator === model).map(want => want.gpus));
    const fitting = (devices: Device[]) => devices.filter(device => matches(device, model)).length;
    return `${count} ${model ?? ''} accelerators are wanted, ${fitting(free)} of ${fitting(all)} are free`;
  });
  return lacking.join('; ').replaceAll('  ', ' ');
}

/**
 * Smaller is better: spare accelerators first, so that what needs none does not sit on a machine that has them. Machines
 * that fit equally well, to a GiB of memory, go by their reputation: no two of a kind report the same bytes.
 */
function compareLeftOver(wants: Want[], a: Offer, b: Offer): number {
  const leftGpus = (machine: Offer) => machine.devices.length - machine.used.devices.length;
  const leftCpus = (machine: Offer) => machine.cpus - machine.used.cpus;
  const leftMemory = (machine: Offer) => machine.memoryBytes - machine.used.memoryBytes;
  const isGpuWork = wants.some(want => want.gpus > 0);
  return (
    (isGpuWork ? 0 : a.devices.length - b.devices.length) ||
    leftGpus(a) - leftGpus(b) ||
    leftCpus(a) - leftCpus(b) ||
    Math.round(leftMemory(a) / 2 ** 30) - Math.round(leftMemory(b) / 2 ** 30) ||
    b.reputation - a.reputation ||
    leftMemory(a) - leftMemory(b) ||
    (a.nodeId < b.nodeId ? -1 : 1)
  );
}

/** All wants on the machine that they fit best; or one sentence that says, for each machine, why they do not fit. */
export function placeTogether(wants: Want[], rayVersion: string, machines: Offer[]): Placement | { refused: string } {
  const fitting: { machine: Offer; assignments: Assignment[] }[] = [];
  const reasons: string[] = [];
  for (const machine of machines) {
    const result = fit(wants, rayVersion, machine);
    if (typeof result === 'string') reasons.push(`${machine.name}: ${result}`);
    else fitting.push({ machine, assignments: result });
  }
  const best = fitting.sort((a, b) => compareLeftOver(wants, a.machine, b.machine))[0];
  if (best) return { nodeId: best.machine.nodeId, assignments: best.assignments };
  const more = reasons.length - reasonsSaid;
  const said = more > 0 ? [...reasons.slice(0, reasonsSaid), `and ${more} more machines without room`] : reasons;
  return { refused: said.join('; ') || 'no machine is online' };
}

/** As many of the wants as fit on this one machine, in their order, with the reason why the first other one does not. */
export function placeEach(
  wants: Want[],
  rayVersion: string,
  machine: Offer,
): { assignments: Assignment[]; refused: string | null } {
  const assignments: Assignment[] = [];
  let used = machine.used;
  let refused: string | null = null;
  for (const want of wants) {
    const result = fit([want], rayVersion, { ...machine, used });
    if (typeof result === 'string') {
      refused ??= `${want.key} does not fit on ${machine.name}: ${result}`;
      continue;
    }
    for (const assignment of result) {
      assignments.push(assignment);
      used = {
        cpus: used.cpus + want.cpus,
        memoryBytes: used.memoryBytes + assignment.memoryBytes,
        devices: [...used.devices, ...assignment.deviceIndices],
      };
    }
  }
  return { assignments, refused };
}
