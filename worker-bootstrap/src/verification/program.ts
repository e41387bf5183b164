/** Which program does the work of a proof on a device. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Device, Inventory, ProofRequest } from '@iocloud/contracts';

export type Wanted = Extract<ProofRequest, { type: 'begin' }>['device'];
export type Program = ChildProcessByStdio<Writable, Readable, Readable>;

/** A sentence for the control plane: this device cannot prove itself here. */
export class NoProgram extends Error {}

export interface ProofPrograms {
  /** Starts the program for the device. Throws NoProgram. */
  start(device: Wanted): Program;
}

interface Options {
  inventory: Inventory;
  /** Virtual environments that hold Ray, and NumPy with it. */
  rayEnvironments: Record<string, string>;
  /** Built from worker-bootstrap/gpu, by vendor. */
  gpuPrograms: Partial<Record<Device['vendor'], string>>;
}

const processorsProgram = fileURLToPath(new URL('../../python/prove.py', import.meta.url));
const visibleDevices: Partial<Record<Device['vendor'], string>> = {
  nvidia: 'CUDA_VISIBLE_DEVICES',
  amd: 'ROCR_VISIBLE_DEVICES',
};

export const programFor = (options: Options): ProofPrograms => ({
  start(wanted) {
    const [command, ...args] = commandOf(options, wanted);
    const vendor = wanted.vendor as Device['vendor'];
    const visible = visibleDevices[vendor];
    const environment = wanted.index === null || !visible ? {} : { [visible]: String(wanted.index) };
    const { PATH = '', LD_LIBRARY_PATH } = process.env;
    return spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH, ...(LD_LIBRARY_PATH === undefined ? {} : { LD_LIBRARY_PATH }), ...environment },
    });
  },
});

function commandOf({ inventory, rayEnvironments, gpuPrograms }: Options, wanted: Wanted): [string, ...string[]] {
  if (wanted.index === null) {
    const [environment] = Object.values(rayEnvironments);
    if (environment === undefined) throw new NoProgram('no Ray environment is here, whose NumPy the proof needs');
    return [
      `${environment}/bin/python`,
      '-E',
      '-s',
      processorsProgram,
      String(Math.max(1, Math.floor(inventory.cpus))),
    ];
  }
  const device = inventory.devices.find(({ index }) => index === wanted.index);
  if (!device) throw new NoProgram(`there is no device ${wanted.index}`);
  if (device.simulated) throw new NoProgram(`device ${wanted.index} is simulated: it cannot prove that it exists`);
  const program = gpuPrograms[device.vendor];
  if (program === undefined) {
    throw new NoProgram(
      `no program for ${device.vendor} is configured: build worker-bootstrap/gpu and name it in proofPrograms`,
    );
  }
  return [program];
}
