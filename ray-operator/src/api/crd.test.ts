import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { rayClusterYaml } from './crd-yaml.js';

test('the CRD that users apply is what the schema makes: npm run crd -w ray-operator', async () => {
  const file = new URL('../../config/crd/ray.io_rayclusters.yaml', import.meta.url);
  expect(await readFile(file, 'utf8')).toBe(rayClusterYaml());
});
