import { PassThrough, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import { firstToSpeak } from './first-to-speak.js';

const several = (count: number) => Array.from({ length: count }, () => new PassThrough());

test('all that the one has to say comes through, and the others are let go of', async () => {
  const [silent, speaker] = several(2) as [PassThrough, PassThrough];
  const heard = text(firstToSpeak([silent, speaker]));
  speaker.write('first, ');
  setImmediate(() => speaker.end('last'));
  expect(await heard).toBe('first, last');
  expect(silent.destroyed).toBe(true);
});

test('one that breaks before any has spoken is only left out', async () => {
  const [broken, speaker] = several(2) as [PassThrough, PassThrough];
  const heard = text(firstToSpeak([broken, speaker]));
  broken.destroy(new Error('its machine has gone'));
  setImmediate(() => speaker.end('all'));
  expect(await heard).toBe('all');
});

test('when all break the reason is said, and when all end there is nothing', async () => {
  const broken = several(2);
  const heard = text(firstToSpeak(broken));
  for (const stream of broken) stream.destroy(new Error('gone'));
  await expect(heard).rejects.toThrow('gone');
  const ended = several(2);
  const nothing = text(firstToSpeak(ended));
  for (const stream of ended) stream.end();
  expect(await nothing).toBe('');
});

test('whoever stops listening stops them all', async () => {
  const streams = several(3);
  const answer: Readable = firstToSpeak(streams);
  answer.on('error', () => undefined);
  answer.destroy();
  await new Promise(resolve => setImmediate(resolve));
  expect(streams.every(stream => stream.destroyed)).toBe(true);
});
