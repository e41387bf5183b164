/** `npm run crd -w ray-operator`: writes the CRD that the schema makes; a test holds the file against it. */
import { writeFile } from 'node:fs/promises';
import { rayClusterYaml } from './crd-yaml.js';

await writeFile(new URL('../../config/crd/ray.io_rayclusters.yaml', import.meta.url), rayClusterYaml());
