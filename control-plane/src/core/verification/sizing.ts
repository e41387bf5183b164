/** How large the work of a device is, and how long it takes one of its model by the maker's data sheet. Pure. */
import type { ProofWork } from '@iocloud/contracts';
import type { Accelerator } from '../matching/index.js';
import { memoryBytesOf, multiplicationsOf } from './work.js';

const MiB = 2 ** 20;
/** What of a device's memory the two layers take; the rest is for sums, digests and the driver. */
const deviceShare = 0.85;
/** Of the memory of a machine whose processors are proven. */
const machineShare = 0.125;
const blocksPerCpu = 256;
/** All passes of a challenge together: with making the first layer and a second challenge it stays below 36 s an hour. */
export const longestRunSeconds = 15;

/** What FP16 tensor cores do, times this, is what they do with whole numbers of 8 bits. Architectures of which that is known. */
const int8Factor: Record<string, number> = {
  Turing: 2,
  Ampere: 2,
  'Ada Lovelace': 2,
  Ada: 2,
  Hopper: 2,
  Blackwell: 2,
  'CDNA 2': 1,
  'CDNA 3': 2,
};
/** What programs reach of the figures on a data sheet: products of 1,024 × 1,024, and memory read in order. */
const reached = { arithmetic: 0.5, bandwidth: 0.8 };
/** Digests come on top of both. */
const digests = 1.15;

/** Passes of a model by its data sheet; null where that states too little. */
export function passSecondsOf(model: Accelerator, work: ProofWork): number | null {
  const factor = int8Factor[model.architecture];
  if (factor === undefined || model.fp16Tflops === null || model.bandwidthGBps === null) return null;
  const operations = 2 * multiplicationsOf(work);
  const arithmetic = operations / (model.fp16Tflops * factor * 1e12 * reached.arithmetic);
  return digests * (arithmetic + bytesMoved(work) / (model.bandwidthGBps * 1e9 * reached.bandwidth));
}

/** Both factors are read for each product; sums of 4 bytes are written, and read again to add to them, to squash, to hash. */
function bytesMoved({ rowLength, blocks, products }: ProofWork): number {
  const matrix = rowLength ** 2;
  return blocks * matrix * (2 * products + 4 * products + 4 * (products - 1) + 4 + 1 + 1);
}

/** Fills the memory of a device as far as the time allows; null where the data sheet states too little. */
export function workOf(model: Accelerator): ProofWork | null {
  if (model.memoryBytes === null) return null;
  const full = Math.floor((model.memoryBytes * deviceShare) / 2 / MiB);
  for (const passes of [8, 6, 5]) {
    const work: ProofWork = { rowLength: 1024, blocks: full, passes, products: 4 };
    const seconds = passSecondsOf(model, work);
    if (seconds === null) return null;
    if (passes * seconds <= longestRunSeconds) return work;
    // With fewer passes there would be too few times to judge by: then not all of its memory is filled.
    if (passes === 5) return { ...work, blocks: Math.floor((full * longestRunSeconds) / (passes * seconds)) };
  }
  return null;
}

/** For processors: what they do in about a second a pass, and no more than an eighth of the machine's memory. */
export function workOfProcessors(cpus: number, memoryBytes: number): ProofWork {
  const shape = { rowLength: 256, passes: 6, products: 4 } as const;
  const room = Math.floor((memoryBytes * machineShare) / memoryBytesOf({ ...shape, blocks: 1 }));
  return { ...shape, blocks: Math.max(1, Math.min(Math.floor(blocksPerCpu * cpus), room, 65_536)) };
}
