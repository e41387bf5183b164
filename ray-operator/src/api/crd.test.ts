import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { crdFile, crdYaml } from './crd-yaml.js';
import { definitions } from './definitions.js';

const directory = new URL('../../config/crd/', import.meta.url);

test.each(definitions)('the CRD of $kind that users apply is what the schema makes: npm run crd', async definition => {
  expect(await readFile(new URL(crdFile(definition), directory), 'utf8')).toBe(crdYaml(definition));
});

test('no other CRDs are handed out', async () => {
  expect((await readdir(directory)).sort()).toEqual(definitions.map(crdFile).sort());
});
