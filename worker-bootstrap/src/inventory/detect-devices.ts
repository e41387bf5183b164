/** Asks the vendors' tools, where they are on the PATH. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Device } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import { amdArguments, nvidiaQuery, parseAmd, parseNvidia, parseRocm, rocmArguments } from './devices.js';

const run = promisify(execFile);
const timeoutMs = 20_000;

const tools = [
  { vendor: 'nvidia', command: 'nvidia-smi', args: nvidiaQuery, parse: parseNvidia },
  { vendor: 'amd', command: 'amd-smi', args: amdArguments, parse: parseAmd },
  { vendor: 'amd', command: 'rocm-smi', args: rocmArguments, parse: parseRocm },
] as const;

/** Devices found, and a sentence for each tool that is there but gave nothing readable. */
export async function detectDevices(log: Logger): Promise<{ devices: Device[]; faults: string[] }> {
  const devices: Device[] = [];
  const faults: string[] = [];
  for (const tool of tools) {
    if (devices.some(found => found.vendor === tool.vendor)) continue;
    try {
      const { stdout } = await run(tool.command, tool.args, { timeout: timeoutMs });
      devices.push(...tool.parse(stdout));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      const fault = `${tool.command} cannot be read: ${(error as Error).message.trim()}`;
      log.error({ tool: tool.command, error: fault }, 'devices may be missing from the inventory');
      faults.push(fault);
    }
  }
  return { devices, faults };
}
