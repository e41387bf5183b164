/** What the vendors' tools print of devices at work. Pure: what they do not tell is null, what cannot be read throws. */
import type { DeviceTelemetry, ThrottleReason } from '@iocloud/contracts';

/** A device as its tool sees it, with its place on the bus where that is known: the kernel's log names devices by it. */
export interface Reading {
  telemetry: DeviceTelemetry;
  busId: string | null;
}

const mebibyte = 2 ** 20;
const nvidiaFields = [
  'index',
  'pci.bus_id',
  'utilization.gpu',
  'memory.used',
  'temperature.gpu',
  'power.draw',
  'enforced.power.limit',
  'clocks_throttle_reasons.active',
  'ecc.errors.corrected.volatile.total',
  'ecc.errors.uncorrected.volatile.total',
];
export const nvidiaTelemetry = [`--query-gpu=${nvidiaFields.join(',')}`, '--format=csv,noheader,nounits'];

/** Bits of nvmlClocksThrottleReasons in NVIDIA's nvml.h; those left out are no throttling (idle, clocks that somebody set). */
const nvidiaReasons: readonly (readonly [bigint, ThrottleReason])[] = [
  [0x04n, 'power'], // software power cap
  [0x08n, 'hardware'], // hardware slowdown
  [0x10n, 'other'], // held back by another device of its sync group
  [0x20n, 'thermal'], // software thermal slowdown
  [0x40n, 'thermal'], // hardware thermal slowdown
  [0x80n, 'power'], // power brake
];

/** `nvidia-smi` with `nvidiaTelemetry`: a line a device; what a device does not know is `[N/A]`, `[Not Supported]` or the like. */
export function readNvidia(output: string): Reading[] {
  return output
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && line !== 'No devices were found')
    .map(line => {
      const fields = line.split(',').map(field => field.trim());
      const [index, busId, busy, used, temperature, power, limit, throttle, corrected, uncorrected] = fields;
      if (fields.length !== nvidiaFields.length || !/^\d+$/.test(index ?? '')) {
        throw new Error(`nvidia-smi printed a line that is no device: ${JSON.stringify(line.slice(0, 200))}`);
      }
      const telemetry: DeviceTelemetry = {
        index: Number(index),
        utilization: map(numberIn(busy), percent => Math.min(1, percent / 100)),
        memoryUsedBytes: map(numberIn(used), size => size * mebibyte),
        temperatureCelsius: numberIn(temperature),
        powerWatts: numberIn(power),
        powerLimitWatts: numberIn(limit),
        throttled: throttledBy(throttle),
        eccCorrected: numberIn(corrected),
        eccUncorrected: numberIn(uncorrected),
        xids: null,
      };
      return { telemetry, busId: busId ? normalBusId(busId) : null };
    });
}

function throttledBy(mask: string | undefined): ThrottleReason[] | null {
  if (!mask || !/^0x[0-9a-f]+$/i.test(mask)) return null;
  const bits = BigInt(mask);
  return [...new Set(nvidiaReasons.filter(([bit]) => (bits & bit) !== 0n).map(([, reason]) => reason))];
}

/** `00000000:3B:00.0` (nvidia-smi) and `0000:3b:00` (the kernel's log) are one device. */
export function normalBusId(text: string): string {
  const match = /^([0-9a-f]+):([0-9a-f]{2}):([0-9a-f]{2})/i.exec(text);
  return match ? `${Number.parseInt(match[1] ?? '', 16)}:${match[2]}:${match[3]}`.toLowerCase() : text.toLowerCase();
}

export const amdTelemetry = ['metric', '--usage', '--power', '--temperature', '--mem-usage', '--ecc', '--json'];

interface AmdEntry {
  gpu?: unknown;
  usage?: { gfx_activity?: unknown };
  mem_usage?: { used_vram?: unknown };
  temperature?: { hotspot?: unknown; edge?: unknown };
  power?: { socket_power?: unknown; throttle_status?: unknown };
  ecc?: { total_correctable_count?: unknown; total_uncorrectable_count?: unknown };
}

/** `amd-smi` with `amdTelemetry`: a list, or since ROCm 7 an object with it under `gpu_data`; a value is `N/A` or has a unit. */
export function readAmd(output: string): Reading[] {
  const value = json('amd-smi', output, /[[{]/) as AmdEntry[] | { gpu_data?: AmdEntry[] };
  const list = Array.isArray(value) ? value : value.gpu_data;
  if (!Array.isArray(list)) throw new Error('amd-smi printed no list of devices');
  return list.map(({ gpu, usage, mem_usage: memory, temperature, power, ecc }) => {
    if (typeof gpu !== 'number') throw new Error('amd-smi printed an entry without the number of its device');
    const throttle = power?.throttle_status;
    const telemetry: DeviceTelemetry = {
      index: gpu,
      utilization: map(measured(usage?.gfx_activity), percent => Math.min(1, percent / 100)),
      memoryUsedBytes: map(measured(memory?.used_vram), size => size * mebibyte),
      temperatureCelsius: measured(temperature?.hotspot) ?? measured(temperature?.edge),
      powerWatts: measured(power?.socket_power),
      powerLimitWatts: null,
      throttled: typeof throttle !== 'string' || throttle === 'N/A' ? null : throttle === 'THROTTLED' ? ['other'] : [],
      eccCorrected: measured(ecc?.total_correctable_count),
      eccUncorrected: measured(ecc?.total_uncorrectable_count),
      xids: null,
    };
    return { telemetry, busId: null };
  });
}

export const rocmTelemetry = ['--showuse', '--showmeminfo', 'vram', '--showtemp', '--showpower', '--json'];

/** `rocm-smi` with `rocmTelemetry`: an object with one key a card, whose values are texts. */
export function readRocm(output: string): Reading[] {
  const cards = json('rocm-smi', output, /\{/) as Record<string, Record<string, string>>;
  return Object.entries(cards)
    .filter(([name]) => /^card\d+$/.test(name))
    .map(([name, card]) => {
      const of = (pattern: RegExp) => numberIn(Object.entries(card).find(([key]) => pattern.test(key))?.[1]);
      const telemetry: DeviceTelemetry = {
        index: Number(name.slice('card'.length)),
        utilization: map(of(/^GPU use \(%\)$/), percent => Math.min(1, percent / 100)),
        memoryUsedBytes: of(/^VRAM Total Used Memory \(B\)$/),
        temperatureCelsius: of(/^Temperature \(Sensor junction\)/) ?? of(/^Temperature \(Sensor edge\)/),
        powerWatts: of(/Graphics Package Power \(W\)$/),
        powerLimitWatts: null,
        throttled: null,
        eccCorrected: null,
        eccUncorrected: null,
        xids: null,
      };
      return { telemetry, busId: null };
    });
}

/** Text such as `71`, `71.5` or `[N/A]`. */
function numberIn(text: string | undefined): number | null {
  return text !== undefined && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

/** 71, or `{value: 71, unit: "W"}`, or `N/A`. */
function measured(value: unknown): number | null {
  const inner = typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
  return typeof inner === 'number' ? inner : null;
}

const map = (value: number | null, change: (value: number) => number) => (value === null ? null : change(value));

function json(tool: string, output: string, opening: RegExp): unknown {
  const start = output.search(opening); // warnings may come first
  try {
    return JSON.parse(output.slice(Math.max(0, start)));
  } catch {
    throw new Error(`${tool} printed no JSON: ${JSON.stringify(output.slice(0, 200))}`);
  }
}
