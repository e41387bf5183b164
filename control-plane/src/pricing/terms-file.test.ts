import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultTerms } from '../core/pricing/index.js';
import { ConfigError } from '../platform/index.js';
import { loadPricing } from './terms-file.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-pricing-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function load(content: unknown) {
  const file = join(directory, 'pricing.json');
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return loadPricing(file);
}

test('what the file does not say keeps its default', async () => {
  expect((await loadPricing(undefined)).terms).toEqual(defaultTerms);
  const { terms } = await load({ baseMicroUsdPerHour: { 'h100-sxm': 2_200_000 }, curve: { targetPpm: 500_000 } });
  expect(terms).toEqual({
    ...defaultTerms,
    baseMicroUsdPerHour: { ...defaultTerms.baseMicroUsdPerHour, 'h100-sxm': 2_200_000 },
    curve: { ...defaultTerms.curve, targetPpm: 500_000 },
  });
});

test.each([
  ['no JSON', '{', 'the file'],
  ['an unknown key', { bases: {} }, 'bases'],
  ['an unknown model', { baseMicroUsdPerHour: { h1000: 1 } }, 'h1000'],
  ['a price that is no whole number', { baseMicroUsdPerHour: { 'h100-sxm': 2.5 } }, 'h100-sxm'],
  ['a floor above the base', { curve: { floorPpm: 1_000_001 } }, 'curve.floorPpm'],
  ['a ceiling below the base', { curve: { ceilingPpm: 999_999 } }, 'curve.ceilingPpm'],
  ['bounds the wrong way round', { lowestProductPpm: 3_000_000 }, 'lowestProductPpm'],
  [
    'more sources than there are',
    { ioRate: { sources: [{ kind: 'fixed', name: 'a', usdPerIo: '1' }], minSources: 2 } },
    'minSources',
  ],
  ['a rate that is none', { ioRate: { sources: [{ kind: 'fixed', name: 'a', usdPerIo: '0' }] } }, 'usdPerIo'],
  ['a factor of nothing', { spotPpm: 0 }, 'spotPpm'],
])('%s stops the start with one line that says where', async (_name, content, where) => {
  const refusal = await load(content).then(
    () => null,
    error => error,
  );
  expect(refusal).toBeInstanceOf(ConfigError);
  expect(refusal.message).toContain(where);
  expect(refusal.message).toMatch(/^IOCLOUD_PRICING_FILE: [^\n]*docs\/pricing\.md\)$/);
});

test('a file that is not there is named', async () => {
  await expect(loadPricing(join(directory, 'none.json'))).rejects.toThrow('none.json: cannot be read: ENOENT');
});
