import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ProofWork } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkPass, drawSpots, rowsToOpen } from './check.js';
import { committed, firstLayer, type Layer, nextRows, open, rootHex } from './testing/prover.js';
import { type ChallengeContext, dot, type Hash, highProduct, passKey, philox, squash, toHex, wordsOf } from './work.js';

const hash: Hash = bytes => createHash('sha256').update(bytes).digest();
const work: ProofWork = { rowLength: 16, blocks: 5, passes: 3, products: 2 };
const context: ChallengeContext = {
  nodeId: 'nd_00000000000000000000',
  deviceKey: 'ssh-ed25519 AAAA',
  deviceUuid: 'GPU-1',
  deviceModel: 'NVIDIA H100 80GB HBM3',
  hour: '2026-11-26T19:00:00.000Z',
  work,
  seed: '00'.repeat(32),
};
const below = (random: number[]) => {
  let at = 0;
  return (limit: number) => (random[at++ % random.length] as number) % limit;
};

/** All layers of a run, with their keys. */
function honestRun(): { keys: string[]; layers: Layer[] } {
  const keys = [passKey(hash, context, 0, '')];
  const layers = [firstLayer(hash, work, wordsOf(keys[0] as string))];
  for (let pass = 1; pass <= work.passes; pass += 1) {
    const before = layers[pass - 1] as Layer;
    const key = passKey(hash, context, pass, rootHex(before));
    keys.push(key);
    layers.push(committed(hash, nextRows(work, wordsOf(key), before.rows)));
  }
  return { keys, layers };
}
const run = honestRun();
const rootsAt = (pass: number, layers = run.layers): [string, string] => [
  rootHex(layers[pass] as Layer),
  pass === 0 ? '' : rootHex(layers[pass - 1] as Layer),
];
const shown = (pass: number, spots: ReturnType<typeof drawSpots>, layers = run.layers) =>
  open([layers[pass] as Layer, layers[pass - 1]], rowsToOpen(work, pass, wordsOf(run.keys[pass] as string), spots));

describe('Philox4x32-10', () => {
  // Random123's kat_vectors.
  test.each([
    ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('of %s with key %s', (counter, key, expected) => {
    const numbers = (text: string) => text.split(' ').map(word => Number.parseInt(word, 16));
    const drawn = philox(numbers(counter) as [number, number, number, number], numbers(key) as [number, number]);
    expect(drawn.map(word => word.toString(16).padStart(8, '0')).join(' ')).toBe(expected);
  });
});

test('the upper half of a product is that of whole numbers', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(fc.property(word, word, (a, b) => highProduct(a, b) === Number((BigInt(a) * BigInt(b)) >> 32n)));
});

test('a sum becomes one of 128 numbers, each as often, whatever the low bits', () => {
  const counts = new Map<number, number>();
  for (let sum = -40_000; sum < 40_000; sum += 1) counts.set(squash(sum, 7), (counts.get(squash(sum, 7)) ?? 0) + 1);
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 128 }, (_, at) => at - 64));
  expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThan(100);
});

test('these bits are the reference for every program: they never change', () => {
  const vectors = JSON.parse(readFileSync('worker-bootstrap/python/prove-vectors.json', 'utf8'));
  expect({ work, passes: run.keys.map((key, pass) => ({ key, root: rootsAt(pass)[0] })) }).toEqual(vectors);
});

test('what was done as it should be passes every check, whatever is drawn', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.array(fc.nat(), { minLength: 1 }), (pass, random) => {
      const spots = drawSpots(work, 3, below(random));
      const key = wordsOf(run.keys[pass] as string);
      expect(checkPass(hash, work, pass, key, rootsAt(pass), spots, shown(pass, spots))).toBeNull();
    }),
    { numRuns: 50 },
  );
});

test('a number that is wrong fails where it is drawn, and passes where it is not', () => {
  const rows = run.layers[2]?.rows.map(row => row.slice()) as Int8Array[];
  (rows[17] as Int8Array)[3] = (((rows[17] as Int8Array)[3] as number) ^ 1) as number;
  const layers = run.layers.with(2, committed(hash, rows));
  const key = wordsOf(run.keys[2] as string);
  const verdict = (spots: ReturnType<typeof drawSpots>) =>
    checkPass(hash, work, 2, key, rootsAt(2, layers), spots, shown(2, spots, layers));
  expect(verdict([{ row: 17, column: 3 }])).toBe('wrong-numbers');
  expect(verdict([{ row: 17, column: 4 }])).toBeNull();
});

test('no change of what is shown passes: it is not what was committed to', () => {
  const spots = drawSpots(work, 2, below([33, 5, 71, 9]));
  const key = wordsOf(run.keys[2] as string);
  const honest = shown(2, spots);
  fc.assert(
    fc.property(
      fc.nat(honest.length - 1),
      fc.boolean(),
      fc.nat(),
      fc.integer({ min: 1, max: 127 }),
      (at, inRow, place, by) => {
        const changed = honest.map(({ row, path }) => ({ row: row.slice(), path: path.slice() }));
        const target = inRow ? changed[at]?.row : changed[at]?.path;
        if (!target) throw new Error('there is one');
        target[place % target.length] = (target[place % target.length] as number) ^ by;
        expect(checkPass(hash, work, 2, key, rootsAt(2), spots, changed)).toBe('not-committed');
      },
    ),
  );
  expect(checkPass(hash, work, 2, key, rootsAt(2), spots, honest.slice(1))).toBe('openings-missing');
  const short = honest.with(0, { row: new Int8Array(15), path: honest[0]?.path as Uint8Array });
  expect(checkPass(hash, work, 2, key, rootsAt(2), spots, short)).toBe('openings-missing');
});

test('another node, key, device, model, hour, size, seed, pass or layer before makes other work', () => {
  const changes: Partial<ChallengeContext>[] = [
    {},
    { nodeId: 'nd_00000000000000000001' },
    { deviceKey: 'ssh-ed25519 AAAB' },
    { deviceUuid: 'GPU-2' },
    { deviceModel: 'NVIDIA A100-SXM4-80GB' },
    { hour: '2026-11-26T20:00:00.000Z' },
    { work: { ...work, blocks: 6 } },
    { seed: '01'.repeat(32) },
  ];
  const keys = changes.map(change => passKey(hash, { ...context, ...change }, 1, 'aa'));
  keys.push(passKey(hash, context, 2, 'aa'), passKey(hash, context, 1, 'ab'));
  expect(new Set(keys).size).toBe(keys.length);
  expect(toHex(hash(new Uint8Array()))).toHaveLength(64);
  expect(dot(Int8Array.of(-64, 63), Int8Array.of(-64, -64))).toBe(64);
});
