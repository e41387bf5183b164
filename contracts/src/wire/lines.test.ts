import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { firstLine, lines } from './lines.js';

const collect = async (stream: AsyncIterable<Buffer>, maxBytes: number) => {
  const found: string[] = [];
  for await (const line of lines(stream, maxBytes)) found.push(line);
  return found;
};

/** Cuts a text into chunks at the given places, as a network would. */
const chunked = (text: string, cuts: number[]) => {
  const bytes = Buffer.from(text);
  const places = [...new Set(cuts.map(cut => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return Readable.from([0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length)));
};

describe('lines', () => {
  test('wherever the network cuts a text, its lines come whole and in order', async () => {
    const line = fc.string({ unit: 'grapheme' }).filter(text => !text.includes('\n'));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), async (texts, cuts) => {
        const whole = texts.map(text => `${text}\n`).join('');
        expect(await collect(chunked(whole, cuts), 4096)).toEqual(texts);
      }),
    );
  });

  test('a line over the limit is refused before it is held in memory', async () => {
    let served = 0;
    const endless = Readable.from(
      (function* () {
        for (;;) {
          served += 1;
          yield Buffer.alloc(1024, 'x');
        }
      })(),
    );
    await expect(collect(endless, 8 * 1024)).rejects.toThrow('longer than 8192');
    expect(served).toBeLessThan(64);
  });
});

describe('firstLine', () => {
  test('leaves what follows the line to the next reader, to the byte', async () => {
    const stream = new PassThrough();
    stream.write('{"ok":tr');
    stream.end('ue}\nthe rest\nof it');
    expect(await firstLine(stream, 100, 1000)).toBe('{"ok":true}');
    expect(Buffer.concat(await stream.toArray()).toString()).toBe('the rest\nof it');
  });

  test('a stream that ends without a line is an error', async () => {
    const stream = new PassThrough();
    stream.end('half');
    await expect(firstLine(stream, 100, 1000)).rejects.toThrow('ended before its first line');
  });

  test('a silent peer is given up after the time', async () => {
    await expect(firstLine(new PassThrough(), 100, 20)).rejects.toThrow('no answer within 20 ms');
  });
});
