import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FrameReader, type FrameType, frame, frameTypes, longestFrameBytes } from './frames.js';

const types = Object.keys(frameTypes) as FrameType[];

/** What a reader makes of the bytes when they come cut at these places; pieces of one frame put together again. */
function read(bytes: Buffer, cuts: number[]): [FrameType, string][] {
  const reader = new FrameReader();
  const places = [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const found: [FrameType, string][] = [];
  for (const [index, from] of [0, ...places].entries()) {
    for (const { type, payload } of reader.take(bytes.subarray(from, places[index] ?? bytes.length))) {
      found.push([type, payload.toString('hex')]);
    }
  }
  return found;
}

/** Neighbouring pieces of the same output as one. */
function joined(frames: [FrameType, string][]): [FrameType, string][] {
  const all: [FrameType, string][] = [];
  for (const [type, text] of frames) {
    const last = all.at(-1);
    if (last && last[0] === type && (type === 'stdout' || type === 'stderr')) last[1] += text;
    else if (text !== '' || (type !== 'stdout' && type !== 'stderr')) all.push([type, text]);
  }
  return all;
}

describe('frames', () => {
  test('wherever the network cuts them, they come whole and in order', () => {
    const one = fc.tuple(fc.constantFrom(...types), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(([type, payload]) => frame(type, payload)));
        const sent = frames.map(([type, payload]): [FrameType, string] => [type, Buffer.from(payload).toString('hex')]);
        expect(joined(read(bytes, cuts))).toEqual(joined(sent));
      }),
    );
  });

  test('an end of input, which is empty, comes as soon as its head is there', () => {
    expect(read(frame('stdin', Buffer.alloc(0)), [])).toEqual([['stdin', '']]);
  });

  test.each([
    ['an unknown type', Buffer.from([9, 0, 0, 0, 1, 0])],
    ['too great a length', Buffer.from([16, 0xff, 0xff, 0xff, 0xff])],
  ])('%s is refused', (_name, bytes) => {
    expect(() => read(bytes, [])).toThrow('no frame');
    expect(() => frame('stdout', Buffer.alloc(longestFrameBytes + 1))).toThrow(RangeError);
  });
});
