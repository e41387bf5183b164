import type { Device } from '@iocloud/contracts';

export interface DeviceWant {
  gpus: number;
  accelerator?: string | undefined;
}

export const matches = (device: Device, accelerator: string | undefined): boolean =>
  accelerator === undefined || device.model.toLowerCase().includes(accelerator.toLowerCase());

/**
 * Gives each want its number of devices, none of them twice, or null when that cannot be done. Wants overlap ("A100",
 * "any"), so taking the first that matches could starve a later one: this is maximum bipartite matching by augmenting
 * paths (Kuhn), exact at the sizes of one machine.
 */
export function assignDevices(wants: DeviceWant[], free: Device[]): number[][] | null {
  const slots = wants.flatMap((want, index) => Array.from({ length: want.gpus }, () => index));
  if (slots.length > free.length) return null;
  const holder = new Map<number, number>(); // position in `free` → slot
  const augment = (slot: number, tried: Set<number>): boolean => {
    const want = wants[slots[slot] ?? -1];
    for (const [position, device] of free.entries()) {
      if (tried.has(position) || !matches(device, want?.accelerator)) continue;
      tried.add(position);
      const other = holder.get(position);
      if (other === undefined || augment(other, tried)) {
        holder.set(position, slot);
        return true;
      }
    }
    return false;
  };
  for (const slot of slots.keys()) if (!augment(slot, new Set())) return null;
  const given = wants.map((): number[] => []);
  for (const [position, slot] of holder) {
    const device = free[position];
    if (device) given[slots[slot] ?? -1]?.push(device.index);
  }
  return given.map(indices => indices.sort((a, b) => a - b));
}
