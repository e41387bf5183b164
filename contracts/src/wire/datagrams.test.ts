import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { datagramFrame, longestDatagramBytes, Unframer } from './datagrams.js';

const datagram = fc.record({ slot: fc.integer({ min: 0, max: 65_535 }), bytes: fc.uint8Array({ maxLength: 300 }) });

test('wherever a stream is cut, its datagrams come whole, in order and for whom they are', () => {
  fc.assert(
    fc.property(fc.array(datagram, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 10 }), (sent, cuts) => {
      const all = Buffer.concat(sent.map(({ slot, bytes }) => datagramFrame(slot, bytes)));
      const places = [...new Set([0, ...cuts.map(cut => cut % (all.length + 1)), all.length])].sort((a, b) => a - b);
      const got: { slot: number; bytes: Uint8Array }[] = [];
      const unframer = new Unframer((slot, bytes) => got.push({ slot, bytes: Uint8Array.from(bytes) }));
      for (const [i, from] of places.entries()) unframer.push(all.subarray(from, places[i + 1] ?? all.length));
      expect(got).toEqual(sent.map(({ slot, bytes }) => ({ slot, bytes: Uint8Array.from(bytes) })));
    }),
  );
});

test('a length that no datagram has is refused, not waited for', () => {
  const unframer = new Unframer(() => undefined);
  expect(() => unframer.push(datagramFrame(1, Buffer.alloc(longestDatagramBytes + 1)))).toThrow(RangeError);
});
