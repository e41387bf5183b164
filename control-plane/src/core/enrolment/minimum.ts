/** What a machine must have to be of use to anybody. Pure. */
import type { JoiningMachine } from '@iocloud/contracts';

const gibibyte = 2 ** 30;
/**
 * Of every machine. A Ray head alone takes 0.6 GiB and its environment 0.3 GiB of disk; the rest is for what runs there.
 */
export const minimum = { cpus: 2, memoryBytes: 4 * gibibyte, diskFreeBytes: 10 * gibibyte };
/** Of a machine with accelerators: processors and memory for each, without which it would stand idle. */
export const minimumForEach = { cpus: 1, memoryBytes: 2 * gibibyte, deviceMemoryBytes: 6 * gibibyte };

const inGiB = (bytes: number) => `${(bytes / gibibyte).toFixed(1)} GiB`;

/** A sentence for each thing that it lacks, with what would do. Empty: it will do. */
export function shortfalls({ cpus, memoryBytes, diskFreeBytes, devices }: JoiningMachine): string[] {
  const found: string[] = [];
  const wanted = {
    cpus: Math.max(minimum.cpus, devices.length * minimumForEach.cpus),
    memoryBytes: Math.max(minimum.memoryBytes, devices.length * minimumForEach.memoryBytes),
  };
  const forDevices = devices.length > 0 ? ` for ${devices.length} accelerators` : '';
  if (cpus < wanted.cpus) found.push(`it has ${cpus} CPUs, and ${wanted.cpus} are needed${forDevices}`);
  // A machine sold with so much memory shows somewhat less of it.
  if (memoryBytes < 0.9 * wanted.memoryBytes) {
    found.push(`it has ${inGiB(memoryBytes)} of memory, and ${inGiB(wanted.memoryBytes)} are needed${forDevices}`);
  }
  if (diskFreeBytes < minimum.diskFreeBytes) {
    found.push(`${inGiB(diskFreeBytes)} of its disk are free, and ${inGiB(minimum.diskFreeBytes)} are needed`);
  }
  for (const { index, model, memoryBytes: size } of devices) {
    if (size >= 0.9 * minimumForEach.deviceMemoryBytes) continue;
    const needed = inGiB(minimumForEach.deviceMemoryBytes);
    found.push(`its accelerator ${index} (${model}) has ${inGiB(size)} of memory, and ${needed} are needed`);
  }
  return found;
}
