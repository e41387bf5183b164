/** README.md's table of metadata keys is what the contract reads. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { ioMetadata } from './io-metadata.js';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

test('README.md names every metadata key that is read, and no other', () => {
  const start = readme.indexOf('Metadata keys of a job');
  const table = readme.slice(start, readme.indexOf('\n## ', start));
  const rows = table.split('\n').filter(line => line.startsWith('| `io.'));
  const named = rows.flatMap(row => (row.split('|')[1] ?? '').match(/io\.[a-z_]+/g) ?? []);
  expect([...named].sort()).toEqual(Object.keys(ioMetadata.shape).sort());
});

test('README.md mentions no metadata key elsewhere that is not read', () => {
  const mentioned = new Set([...readme.matchAll(/["`](io\.[a-z_]+)["`]/g)].map(match => match[1]));
  for (const key of mentioned) expect(Object.keys(ioMetadata.shape)).toContain(key);
});
