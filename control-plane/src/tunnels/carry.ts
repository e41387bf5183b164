/** Carries one shell between its user's end and the frames of its machine. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { FrameReader, frame, windowFrame } from '@iocloud/contracts/wire';
import type { LiveSession } from './live-sessions.js';

export type Exit = { code: number } | { signal: string };

/** Where a shell's user is: an SSH channel, or a browser. */
export interface UserEnd {
  /** What is typed; its end is the end of the shell's input. */
  input: AsyncIterable<Buffer>;
  /** Resolves when there is room for more. */
  write(output: 'stdout' | 'stderr', bytes: Buffer): Promise<void>;
}

export class ShellCarrier {
  constructor(
    readonly machine: Duplex,
    readonly session: LiveSession,
  ) {}

  resize(columns: number, rows: number): void {
    if (this.machine.writable) this.machine.write(windowFrame(columns, rows));
  }

  signal(name: string): void {
    if (this.machine.writable) this.machine.write(frame('signal', Buffer.from(name)));
  }

  /** Until the machine has ended its stream. Null: it broke off, and nobody knows how the program ended. */
  async run(user: UserEnd): Promise<Exit | null> {
    const input = this.#carryInput(user.input).catch(() => this.machine.destroy());
    const exit = await this.#carryOutput(user);
    this.machine.destroy();
    void input;
    return exit;
  }

  async #carryInput(input: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of input) {
      this.session.bytesIn += chunk.length;
      if (this.machine.destroyed) return;
      if (!this.machine.write(frame('stdin', chunk))) {
        await Promise.race([once(this.machine, 'drain'), once(this.machine, 'close')]);
      }
    }
    if (this.machine.writable) this.machine.write(frame('stdin', Buffer.alloc(0)));
  }

  async #carryOutput(user: UserEnd): Promise<Exit | null> {
    const reader = new FrameReader();
    let exit: Exit | null = null;
    try {
      for await (const chunk of this.machine) {
        for (const { type, payload } of reader.take(chunk)) {
          if (type === 'stdout' || type === 'stderr') {
            this.session.bytesOut += payload.length;
            await user.write(type, payload);
          } else if (type === 'exit') exit = JSON.parse(payload.toString()) as Exit;
        }
      }
    } catch {
      return exit;
    }
    return exit;
  }
}

export function exitInWords(exit: Exit): string {
  return 'code' in exit ? `exit code ${exit.code}` : `ended by signal ${exit.signal}`;
}
