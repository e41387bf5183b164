/** Where things are and what the launcher was asked for, from the environment. */
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));
export const rayVersion = '2.60.0';

/** An expected failure: one line for the user, no stack. */
export class LaunchError extends Error {}

export interface Settings {
  home: string;
  host: string;
  /** 0: any free one. */
  port: number;
  sshPort: number;
  venv: string;
  redisVenvs: string[];
  databaseUrl: string | undefined;
  redisUrl: string | undefined;
  /** Absent: the agent looks for it on the PATH. */
  wireguardGo: string | undefined;
  /** Private key that signs the agent for machines that join; absent: one that is made for this home. */
  signingKey: string | undefined;
  nodeCpus: number | undefined;
  nodeMemoryBytes: number | undefined;
  simulatedDevices: SimulatedDevice[];
}

export interface SimulatedDevice {
  vendor: 'nvidia' | 'amd';
  model: string;
  memoryBytes: number;
  count: number;
}

function port(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined || text === '' ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535)
    throw new LaunchError(`${name}: ${text} is no port (0 to 65535)`);
  return value;
}

function amount(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new LaunchError(`${name}: ${text} is no positive number`);
  return value;
}

/** `8xH100:80GiB,2xMI300X:192GiB` → what the agent is to pretend, for trials without such hardware. */
export function parseSimulatedDevices(text: string | undefined): SimulatedDevice[] {
  if (!text) return [];
  return text.split(',').map(part => {
    const match = /^(\d+)x([A-Za-z0-9 ._-]+):(\d+)GiB$/.exec(part.trim());
    if (!match?.[1] || !match[2] || !match[3]) {
      throw new LaunchError(`IOCLOUD_SIMULATED_GPUS: ${part} is not of the form 8xH100:80GiB`);
    }
    const vendor = /^MI\d/.test(match[2]) ? 'amd' : 'nvidia';
    return { vendor, model: match[2], memoryBytes: Number(match[3]) * 2 ** 30, count: Number(match[1]) };
  });
}

/** Throws LaunchError that names the bad key. */
export function parseSettings(env: Record<string, string | undefined>): Settings {
  const home = resolve(repository, env.IOCLOUD_HOME || '.iocloud');
  return {
    home,
    host: env.IOCLOUD_HOST || '127.0.0.1',
    port: port('IOCLOUD_PORT', env.IOCLOUD_PORT, 8265),
    sshPort: port('IOCLOUD_SSH_PORT', env.IOCLOUD_SSH_PORT, 0),
    venv: env.IOCLOUD_VENV ? resolve(env.IOCLOUD_VENV) : join(home, 'venv'),
    redisVenvs: (env.IOCLOUD_REDIS_VENV || join(home, 'redis-venv')).split(delimiter),
    databaseUrl: env.DATABASE_URL || undefined,
    redisUrl: env.REDIS_URL || undefined,
    wireguardGo: env.IOCLOUD_WIREGUARD_GO ? resolve(env.IOCLOUD_WIREGUARD_GO) : undefined,
    signingKey: env.IOCLOUD_AGENT_SIGNING_KEY ? resolve(env.IOCLOUD_AGENT_SIGNING_KEY) : undefined,
    nodeCpus: amount('IOCLOUD_NODE_CPUS', env.IOCLOUD_NODE_CPUS),
    nodeMemoryBytes: amount('IOCLOUD_NODE_MEMORY_BYTES', env.IOCLOUD_NODE_MEMORY_BYTES),
    simulatedDevices: parseSimulatedDevices(env.IOCLOUD_SIMULATED_GPUS),
  };
}
