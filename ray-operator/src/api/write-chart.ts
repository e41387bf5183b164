/** Second half of `npm run crd -w ray-operator`: gives the chart the kinds and rules of `config/`; a test holds one against the other. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { chartFiles, configFiles, filesBelow } from './chart-files.js';

await rm(chartFiles, { recursive: true, force: true });
for (const [path, content] of await filesBelow(configFiles)) {
  const file = new URL(path, chartFiles);
  await mkdir(new URL('.', file), { recursive: true });
  await writeFile(file, content);
}
