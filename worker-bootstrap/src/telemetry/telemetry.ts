/** Takes samples for ever, and keeps those that are not on record. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { type AgentMessage, type Device, type DeviceTelemetry, telemetryIntervalMs } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import type { Metering } from '../metering/index.js';
import { TelemetryBuffer } from './buffer.js';
import {
  amdTelemetry,
  nvidiaTelemetry,
  type Reading,
  readAmd,
  readNvidia,
  readRocm,
  rocmTelemetry,
} from './devices.js';
import { KernelLog } from './kernel-log.js';
import { MachineReader } from './machine.js';

const run = promisify(execFile);
const timeoutMs = 20_000;
/** Six hours without a connection: some hundred KiB, and with eight accelerators some MiB. */
const capacity = (6 * 3_600_000) / telemetryIntervalMs;

const tools = [
  { vendor: 'nvidia', command: 'nvidia-smi', args: nvidiaTelemetry, read: readNvidia },
  { vendor: 'amd', command: 'amd-smi', args: amdTelemetry, read: readAmd },
  { vendor: 'amd', command: 'rocm-smi', args: rocmTelemetry, read: readRocm },
] as const;

type Message = Extract<AgentMessage, { type: 'telemetry' }>;

export class Telemetry {
  readonly #run = randomUUID();
  readonly #buffer = new TelemetryBuffer(capacity);
  readonly #machine: MachineReader;
  readonly #vendors: Set<string>;
  #kernelLog: KernelLog | null = null;
  #timer: NodeJS.Timeout | undefined;
  #sampling: Promise<void> | undefined;
  /** What was said of a tool last: a fault is logged when it begins, not every time. */
  readonly #faults = new Map<string, string>();

  /** `onSample`: something is there to be sent. Simulated devices are not measured. */
  constructor(
    devices: readonly Device[],
    stateDir: string,
    readonly onSample: () => void,
    readonly metering: Metering,
    readonly log: Logger,
    readonly intervalMs = telemetryIntervalMs,
  ) {
    this.#machine = new MachineReader(stateDir);
    this.#vendors = new Set(devices.filter(device => !device.simulated).map(({ vendor }) => vendor));
  }

  async start(): Promise<void> {
    if (this.#vendors.has('nvidia')) this.#kernelLog = await KernelLog.open();
    const look = () => {
      // One that takes longer than the interval, on a machine in trouble, is not joined by another.
      this.#sampling ??= this.#sample().finally(() => {
        this.#sampling = undefined;
      });
    };
    look();
    this.metering.start();
    this.#timer = setInterval(look, this.intervalMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sampling;
    await this.metering.stop();
    await this.#kernelLog?.close();
  }

  /** The oldest that are not on record, or null. */
  pending(): Message | null {
    const samples = this.#buffer.next(performance.now());
    return samples.length > 0 ? { type: 'telemetry', run: this.#run, samples } : null;
  }

  recorded(sequence: number): void {
    this.#buffer.recorded(sequence);
  }

  async #sample(): Promise<void> {
    try {
      const machine = await this.#machine.read();
      const devices = await this.#devices();
      const leases = await this.metering.usage();
      this.#buffer.add({ machine, devices, leases }, performance.now());
      this.onSample();
    } catch (error) {
      this.#say('machine', `a sample could not be taken: ${(error as Error).message}`);
    }
  }

  async #devices(): Promise<DeviceTelemetry[]> {
    const found: Reading[] = [];
    const read = new Set<string>();
    for (const { vendor, command, args, read: parse } of tools) {
      if (!this.#vendors.has(vendor) || read.has(vendor)) continue;
      try {
        const { stdout } = await run(command, args, { timeout: timeoutMs });
        found.push(...parse(stdout));
        read.add(vendor);
        this.#faults.delete(command);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        this.#say(command, `${command} cannot be read: ${(error as Error).message.trim()}`);
      }
    }
    await this.#kernelLog?.read();
    return found.map(({ telemetry, busId }) => ({
      ...telemetry,
      xids: this.#kernelLog && busId !== null ? this.#kernelLog.xidsOf(busId) : null,
    }));
  }

  #say(what: string, fault: string): void {
    if (this.#faults.get(what) === fault) return;
    this.#faults.set(what, fault);
    this.log.error({ error: fault }, 'telemetry is incomplete');
  }
}
