import { describe, expect, test } from '@jest/globals';
import { classify, resolve } from './accelerator-lookup.js';
import { accelerators } from './accelerators.js';

const GiB = 2 ** 30;

describe('the catalogue', () => {
  test('has each model once, with its source', () => {
    expect(accelerators.length).toBeGreaterThanOrEqual(40);
    expect(new Set(accelerators.map(model => model.slug)).size).toBe(accelerators.length);
    for (const model of accelerators) {
      expect(model.source.url).toMatch(/^https:\/\//);
      expect(model.fp16Tflops ?? 1).toBeGreaterThan(0);
    }
  });

  test('tells every model by each name that it reports', () => {
    for (const { slug, aliases, memoryBytes } of accelerators) {
      // Drivers report a little less than what is built in.
      for (const alias of aliases)
        expect([alias, classify(alias, (memoryBytes ?? 64 * GiB) * 0.97)]).toEqual([alias, slug]);
    }
  });

  test('does not believe a name with another memory than the model has, nor a name that it does not know', () => {
    expect(classify('NVIDIA H100 80GB HBM3', 24 * GiB)).toBeNull();
    expect(classify('NVIDIA H100 80GB HBM4 Super', 80 * GiB)).toBeNull();
  });
});

describe('what a user writes', () => {
  test.each([
    ['A100', ['a100-40-pcie', 'a100-40-sxm', 'a100-80-pcie', 'a100-80-sxm']],
    ['a100 80gb', ['a100-80-pcie', 'a100-80-sxm']],
    ['h100-sxm', ['h100-sxm']],
    ['NVIDIA GeForce RTX 4090', ['rtx-4090']],
    ['rtx 4090', ['rtx-4090']],
    ['AMD-Instinct-MI300X-OAM', ['mi300x']],
    ['L40', ['l40']],
  ])('%s', (text, slugs) => expect(resolve(text)).toEqual({ slugs, suggestions: [] }));

  test('a typo brings the names that are near', () => {
    expect(resolve('H10O-sxm')).toEqual({ slugs: [], suggestions: expect.arrayContaining(['h100-sxm']) });
    expect(resolve('MI30OX').suggestions[0]).toBe('mi300x');
    expect(resolve('toaster')).toEqual({ slugs: [], suggestions: [] });
    expect(resolve('')).toEqual({ slugs: [], suggestions: [] });
  });
});
