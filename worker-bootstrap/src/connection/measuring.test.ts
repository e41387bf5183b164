import { createHash, randomBytes } from 'node:crypto';
import { Duplex, PassThrough } from 'node:stream';
import { longestMeasureBytes } from '@iocloud/contracts';
import { ByteReader } from '@iocloud/contracts/wire';
import { expect, test } from '@jest/globals';
import { serveMeasurement } from './measuring.js';

function pair() {
  const [to, from] = [new PassThrough(), new PassThrough()];
  const machine = Duplex.from({ readable: to, writable: from });
  return { machine, to, reader: new ByteReader(from) };
}
const round = (down: number, up: number) => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(down, 0);
  head.writeUInt32BE(up, 4);
  return head;
};
async function taken(reader: ByteReader, bytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await reader.take(bytes, piece => pieces.push(piece));
  return Buffer.concat(pieces);
}

test('each round is answered with the digest of what came and as many bytes as are asked for', async () => {
  const { machine, to, reader } = pair();
  const served = serveMeasurement(machine);
  const sent = randomBytes(300_000);
  to.write(Buffer.concat([round(0, 0), round(sent.length, 70_000), sent]));
  expect(await taken(reader, 32)).toEqual(createHash('sha256').digest());
  expect(await taken(reader, 32)).toEqual(createHash('sha256').update(sent).digest());
  expect(await taken(reader, 70_000)).toHaveLength(70_000);
  to.end();
  await served;
  expect(await reader.take(1, () => undefined)).toBe(false);
});

test('a round that is longer than agreed is refused, as is one that breaks off', async () => {
  const long = pair();
  long.to.write(round(0, longestMeasureBytes + 1));
  await expect(serveMeasurement(long.machine)).rejects.toThrow('is too long');
  const short = pair();
  short.to.end(Buffer.concat([round(10, 0), Buffer.alloc(9)]));
  await expect(serveMeasurement(short.machine)).rejects.toThrow('ended 1 bytes early');
});
