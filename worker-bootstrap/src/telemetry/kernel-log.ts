/** Faults that NVIDIA's driver reports in the kernel's log (Xid), counted by device since the machine booted. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { normalBusId } from './devices.js';

/** `NVRM: Xid (PCI:0000:3b:00): 79, …`, in NVIDIA's "XID Errors". */
const xid = /NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d{1,4}),/;
/** A read of /dev/kmsg gives one record, and none is longer (printk.c, CONSOLE_EXT_LOG_MAX). */
const recordBytes = 8_192;

const code = (error: unknown) => (error as NodeJS.ErrnoException).code;

export class KernelLog {
  readonly #counts = new Map<string, Map<string, number>>();
  #rest = '';

  private constructor(readonly file: FileHandle) {}

  /** Null where it may not be read, or is not there. */
  static async open(path = '/dev/kmsg'): Promise<KernelLog | null> {
    try {
      return new KernelLog(await open(path, constants.O_RDONLY | constants.O_NONBLOCK));
    } catch (error) {
      if (['ENOENT', 'EACCES', 'EPERM', 'ENXIO'].includes(code(error) ?? '')) return null;
      throw error;
    }
  }

  /** Takes in what has been written since the last time. */
  async read(): Promise<void> {
    const buffer = Buffer.alloc(recordBytes);
    for (;;) {
      try {
        const { bytesRead } = await this.file.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) return;
        this.#take(buffer.toString('utf8', 0, bytesRead));
      } catch (error) {
        if (code(error) === 'EAGAIN') return;
        // Records were overwritten before we came to them; the next read goes on with the oldest that is left.
        if (code(error) !== 'EPIPE') throw error;
      }
    }
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-recordBytes);
    for (const line of lines) {
      const [, bus, number] = xid.exec(line) ?? [];
      if (!bus || !number) continue;
      const counts = this.#counts.get(normalBusId(bus)) ?? new Map<string, number>();
      this.#counts.set(normalBusId(bus), counts.set(number, (counts.get(number) ?? 0) + 1));
    }
  }

  xidsOf(busId: string): Record<string, number> {
    return Object.fromEntries(this.#counts.get(busId) ?? []);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
