/** The machine's side of a measurement of its connection: see `measure` in the contracts' agent protocol. */
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { longestMeasureBytes } from '@iocloud/contracts';
import { ByteReader } from '@iocloud/contracts/wire';

/** Serves rounds until the control plane ends them. */
export async function serveMeasurement(stream: Duplex): Promise<void> {
  const reader = new ByteReader(stream);
  for (;;) {
    const pieces: Buffer[] = [];
    if (!(await reader.take(8, piece => pieces.push(piece)))) break;
    const head = Buffer.concat(pieces);
    const [down, up] = [head.readUInt32BE(0), head.readUInt32BE(4)];
    if (Math.max(down, up) > longestMeasureBytes)
      throw new RangeError(`a round of ${down} and ${up} bytes is too long`);
    const hash = createHash('sha256');
    await reader.take(down, piece => hash.update(piece));
    stream.write(hash.digest());
    if (up > 0) stream.write(randomBytes(up));
  }
  stream.end();
}
