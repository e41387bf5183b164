/** A WireGuard interface of this machine, run by wireguard-go: see python/mesh.py. It outlives the agent that made it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type DeviceSetting, type DeviceStatus, operate, parseStatus, settingText, statusRequest } from './uapi.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../python/mesh.py', import.meta.url));
/** Where wireguard-go has its sockets: whoever reaches one is master of its device, so no Ray node may see them. */
export const socketDirectory = '/run/wireguard';

export class Device {
  readonly #socketPath: string;

  constructor(
    readonly name: string,
    readonly python: string,
    readonly program: string,
    readonly logFile: string,
  ) {
    this.#socketPath = join(socketDirectory, `${name}.sock`);
  }

  /** Makes it unless it is there. `place`: the file of its namespace and its part of the network; null: left outside. */
  async up(place: { network: string; block: string } | null): Promise<void> {
    await this.#script('up', this.name, this.program, place?.network ?? '-', place?.block ?? '-');
  }

  /** No error if there is nothing. */
  async down(): Promise<void> {
    await this.#script('down', this.name);
  }

  async #script(...args: string[]): Promise<void> {
    const env = { PATH: process.env.PATH ?? '', IOCLOUD_MESH_LOG: this.logFile };
    await run(this.python, ['-E', '-s', '-B', script, ...args], { env }).catch((error: { stderr?: string }) => {
      const line = error.stderr?.trim().split('\n').slice(-2).join(' ');
      throw new Error(`the WireGuard interface ${this.name}: ${line || String(error)}`);
    });
  }

  async set(setting: DeviceSetting): Promise<void> {
    await operate(this.#socketPath, settingText(setting));
  }

  async status(): Promise<DeviceStatus> {
    return parseStatus(await operate(this.#socketPath, statusRequest));
  }
}

/** An interface's name has 15 characters at most. Two agents' names never meet. */
export const deviceName = (stateDir: string, what: string): string =>
  `iow${createHash('sha256').update(`${stateDir} ${what}`).digest('hex').slice(0, 10)}`;
