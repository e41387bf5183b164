import { createHash } from 'node:crypto';
import { Duplex, PassThrough } from 'node:stream';
import { ByteReader } from '@iocloud/contracts/wire';
import { describe, expect, test } from '@jest/globals';
import { measure } from './measuring.js';

const MiB = 2 ** 20;

/** A machine at the end of a line of so many Mbit/s, on a clock of its own: a byte takes time only there. */
class PretendedLine {
  ms = 0;
  readonly rounds: [down: number, up: number][] = [];
  readonly near: Duplex;

  constructor(
    readonly mbps: { down: number; up: number },
    readonly roundTripMs: number,
    /** What the machine says it got, for those that do not say the truth. */
    readonly digestOf: (bytes: Buffer) => Buffer = bytes => createHash('sha256').update(bytes).digest(),
  ) {
    const [to, from] = [new PassThrough(), new PassThrough()];
    this.near = Duplex.from({ readable: from, writable: to });
    void this.#serve(new ByteReader(to), from);
  }

  async #serve(reader: ByteReader, from: PassThrough): Promise<void> {
    const taken = async (bytes: number) => {
      const pieces: Buffer[] = [];
      const came = await reader.take(bytes, piece => pieces.push(piece));
      return came ? Buffer.concat(pieces) : null;
    };
    for (let head = await taken(8); head; head = await taken(8)) {
      const [down, up] = [head.readUInt32BE(0), head.readUInt32BE(4)];
      this.rounds.push([down, up]);
      const bytes = (await taken(down)) ?? Buffer.alloc(0);
      this.ms += this.roundTripMs + (down * 8) / 1_000 / this.mbps.down + (up * 8) / 1_000 / this.mbps.up;
      from.write(Buffer.concat([this.digestOf(bytes), Buffer.alloc(up)]));
    }
    from.end();
  }

  measured = () => measure(this.near, () => this.ms);
}

describe('a measurement', () => {
  test.each([
    [{ down: 900, up: 400 }, 8],
    [{ down: 94, up: 11 }, 40],
    [{ down: 2, up: 0.5 }, 100],
  ])('shows the round trip and most of the rates %j, never more (round trip %i ms)', async (mbps, roundTripMs) => {
    const found = await new PretendedLine(mbps, roundTripMs).measured();
    expect(found.roundTripMs).toBe(roundTripMs);
    for (const [rate, actual] of [
      [found.downloadMbps, mbps.down],
      [found.uploadMbps, mbps.up],
    ] as const) {
      expect(rate).toBeLessThanOrEqual(actual);
      expect(rate).toBeGreaterThan(0.6 * actual);
    }
  });

  test('is over soon, however slow the line, and small, however fast', async () => {
    const fast = new PretendedLine({ down: 9_000, up: 9_000 }, 1);
    await fast.measured();
    const bytes = fast.rounds.reduce((sum, [down, up]) => sum + down + up, 0);
    expect(bytes).toBeLessThan(11 * MiB);
    const slow = new PretendedLine({ down: 1, up: 1 }, 50);
    await slow.measured();
    expect(slow.ms).toBeLessThan(2_500);
  });

  test('believes no machine that says it got what it did not', async () => {
    const liar = new PretendedLine({ down: 1, up: 1 }, 5, () => createHash('sha256').digest());
    await expect(liar.measured()).rejects.toThrow('other bytes arrived');
  });
});
