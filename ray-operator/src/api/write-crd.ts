/** `npm run crd -w ray-operator`: writes the CRDs that the schemas make; a test holds the files against them. */
import { writeFile } from 'node:fs/promises';
import { crdFile, crdYaml } from './crd-yaml.js';
import { definitions } from './definitions.js';

for (const definition of definitions) {
  await writeFile(new URL(`../../config/crd/${crdFile(definition)}`, import.meta.url), crdYaml(definition));
}
