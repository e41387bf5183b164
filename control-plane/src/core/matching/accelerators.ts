/** The accelerator models that are known, each once. */
import type { Accelerator } from './accelerators/accelerator.js';
import { nvidiaDataCenter } from './accelerators/nvidia-data-center.js';
import { nvidiaOlder } from './accelerators/nvidia-older.js';
import { nvidiaWorkstation } from './accelerators/nvidia-workstation.js';
import { otherMakers } from './accelerators/other-makers.js';

export type { Accelerator } from './accelerators/accelerator.js';

export const accelerators: readonly Accelerator[] = [
  ...nvidiaDataCenter,
  ...nvidiaOlder,
  ...nvidiaWorkstation,
  ...otherMakers,
];
