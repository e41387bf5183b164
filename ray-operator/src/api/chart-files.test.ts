import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { chartFiles, configFiles, filesBelow } from './chart-files.js';

test('the chart has the kinds and rules of config/, and no others: npm run crd -w ray-operator', async () => {
  const config = await filesBelow(configFiles);
  expect(config.size).toBeGreaterThan(1);
  expect(await filesBelow(chartFiles)).toEqual(config);
});

test('every setting of the operator can be given by the chart', async () => {
  const text = await readFile(new URL('../config.ts', import.meta.url), 'utf8');
  const values = parse(await readFile(new URL('../values.yaml', chartFiles), 'utf8'));
  const template = await readFile(new URL('../templates/deployment.yaml', chartFiles), 'utf8');
  const settings = Object.keys(values.settings).map(
    key => `RAY_OPERATOR_${key.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`,
  );
  const known = new Set([...settings, ...(template.match(/RAY_OPERATOR_[A-Z_]+[A-Z]/g) ?? [])]);
  const asked = [...new Set(text.match(/RAY_OPERATOR_\w+/g) ?? [])];
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.filter(name => !known.has(name))).toEqual([]);
  expect(settings.filter(name => !asked.includes(name))).toEqual([]);
});
