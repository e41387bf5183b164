/** `npm run generate -w dashboards`; a test holds the files against the code. */
import { mkdir, writeFile } from 'node:fs/promises';
import { boardFile, boardJson, boards } from './index.js';

const directory = new URL('../grafana/', import.meta.url);
await mkdir(directory, { recursive: true });
for (const board of boards) await writeFile(new URL(boardFile(board), directory), boardJson(board));
