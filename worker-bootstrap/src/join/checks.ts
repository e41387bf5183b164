/** What stands in the way of a machine that shall join, each with what to do about it. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import { promisify } from 'node:util';
import { findPython } from '../../../scripts/python-env.mjs';
import type { Logger } from '../log.js';

const run = promisify(execFile);
const nvidiaVendor = '0x10de';
const amdVendor = '0x1002';
/** PCI class codes of what computes: display controllers and processing accelerators (PCI Code and ID Assignment, 03h, 12h). */
const computes = /^0x(0300|0302|0380|1200)/;

export interface Found {
  platform: NodeJS.Platform;
  arch: string;
  /** Vendors of accelerators on the bus, whether or not a driver sees them; null where the bus cannot be read. */
  onBus: readonly string[] | null;
  /** Vendors of accelerators that their tools list. */
  seen: readonly string[];
  /** Of each tool that is there and gave nothing readable. */
  toolFaults: readonly string[];
  /** Null: none that will do, for this reason. */
  python: { fault: string } | null;
}

/** Pure. A sentence for each obstacle; those of `warnings` keep nothing from working. */
export function judge(found: Found): { obstacles: string[]; warnings: string[] } {
  const obstacles: string[] = [];
  const warnings: string[] = [];
  if (!['linux', 'darwin'].includes(found.platform)) {
    obstacles.push(`this is ${found.platform}: agents run on Linux and macOS (on Windows, inside WSL 2)`);
  }
  if (!['x64', 'arm64'].includes(found.arch)) {
    obstacles.push(`its processors are ${found.arch}: there is Ray for x64 and arm64 alone`);
  }
  if (found.python) obstacles.push(found.python.fault);
  for (const fault of found.toolFaults) {
    obstacles.push(`${fault}. Repair the driver (a restart after an update often does), or remove the tool`);
  }
  const drivers = {
    nvidia: 'NVIDIA driver (nvidia-smi must list it)',
    amd: 'ROCm driver (amd-smi or rocm-smi must list it)',
  };
  for (const [vendor, driver] of Object.entries(drivers)) {
    if (found.onBus?.includes(vendor) && !found.seen.includes(vendor)) {
      warnings.push(
        `there is an accelerator of ${vendor} that cannot be used: install the ${driver}, then run this again`,
      );
    }
  }
  return { obstacles, warnings };
}

export async function look(seen: readonly string[], toolFaults: readonly string[], ownPython: boolean): Promise<Found> {
  return {
    platform: process.platform,
    arch: os.arch(),
    onBus: await acceleratorsOnBus(),
    seen,
    toolFaults,
    python: ownPython ? null : await pythonObstacle(),
  };
}

async function pythonObstacle(): Promise<{ fault: string } | null> {
  try {
    const python = await findPython();
    await run(python, ['-c', 'import venv, ensurepip']);
    return null;
  } catch (error) {
    const text = (error as Error).message;
    return { fault: text.includes('ensurepip') || text.includes('venv') ? noVenv : (text.split('\n')[0] ?? text) };
  }
}

const noVenv = 'Python has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)';

/** Linux alone. */
async function acceleratorsOnBus(directory = '/sys/bus/pci/devices'): Promise<string[] | null> {
  const names = await readdir(directory).catch(() => null);
  if (names === null) return null;
  const read = (name: string, file: string) =>
    readFile(`${directory}/${name}/${file}`, 'utf8').then(text => text.trim());
  const vendors = new Set<string>();
  for (const name of names) {
    const [vendor, kind] = await Promise.all([read(name, 'vendor'), read(name, 'class')]).catch(() => ['', '']);
    if (!computes.test(kind ?? '')) continue;
    if (vendor === nvidiaVendor) vendors.add('nvidia');
    // AMD's processors have graphics of their own, which no Ray node is leased: only what is an accelerator by its class counts.
    if (vendor === amdVendor && /^0x(1200|0380)/.test(kind ?? '')) vendors.add('amd');
  }
  return [...vendors];
}

/** Where nobody reads the log, while the machine is looked at. */
export const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined } as unknown as Logger;
