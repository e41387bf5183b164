/** What this machine is and how it is doing. */
import { execFile } from 'node:child_process';
import { readFile, statfs } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Inventory } from '@iocloud/contracts';
import type { AgentConfig } from '../config.js';
import type { Logger } from '../log.js';
import type { Sandbox } from '../sandbox/index.js';
import { detectDevices } from './detect-devices.js';
import { simulated } from './devices.js';

const run = promisify(execFile);

export async function takeInventory(config: AgentConfig, sandbox: Sandbox, log: Logger): Promise<Inventory> {
  const { devices, faults } = await detectDevices(log);
  const firstFree = devices.reduce((next, device) => Math.max(next, device.index + 1), 0);
  const cpus = os.cpus();
  const [firstEnvironment] = Object.values(config.rayEnvironments);
  return {
    hostname: os.hostname(),
    os: `${os.type()} ${os.release()}`.slice(0, 64),
    arch: os.arch(),
    cpuModel: (cpus[0]?.model ?? 'unknown').slice(0, 128),
    cpus: config.cpus ?? os.availableParallelism(),
    memoryBytes: config.memoryBytes ?? (await memoryLimitBytes()),
    diskFreeBytes: await diskFreeBytes(config.stateDir),
    devices: [...devices, ...simulated(config.simulatedDevices, firstFree)].slice(0, 64),
    rayVersions: Object.keys(config.rayEnvironments),
    pythonVersion: firstEnvironment ? await pythonVersion(firstEnvironment) : '',
    isolation: sandbox.isolation,
    isolationReason: [sandbox.reason, ...faults].filter(Boolean).join('; '),
  };
}

/** The container's limit where there is one, else the machine's memory. Bytes. */
export async function memoryLimitBytes(): Promise<number> {
  for (const file of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    const limit = Number((await readFile(file, 'utf8').catch(() => '')).trim() || Number.NaN);
    if (Number.isFinite(limit) && limit > 0 && limit < os.totalmem()) return limit;
  }
  return os.totalmem();
}

async function pythonVersion(environment: string): Promise<string> {
  const { stdout } = await run(join(environment, 'bin', 'python'), ['-E', '-s', '-S', '-V']);
  return stdout.trim().replace(/^Python /, '');
}

export async function diskFreeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** Memory that can be had without swapping. Bytes. */
export async function memoryAvailableBytes(): Promise<number> {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8').catch(() => ''));
  return match ? Number(match[1]) * 1024 : os.freemem();
}
