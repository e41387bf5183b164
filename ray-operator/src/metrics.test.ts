import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { createMetrics } from './metrics.js';

test('docs/metrics.md lists what the operator exports, and nothing else', async () => {
  const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  const [, part = ''] = text.split('\n## Operator');
  const rows = (part.split('\n## ')[0] ?? '').matchAll(/^\| `(\w+)` \| (\w+) \|/gm);
  const listed = [...rows].map(([, name, type]) => `${name} ${type}`).sort();
  const found = await createMetrics().register.getMetricsAsJSON();
  expect(listed).toEqual(found.map(({ name, type }) => `${name} ${type}`).sort());
});
