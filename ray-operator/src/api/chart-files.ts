/** What the chart takes from `config/` as it is: kinds and rules are written down once, there. */
import { readdir, readFile } from 'node:fs/promises';

const operator = new URL('../../', import.meta.url);
export const chartFiles = new URL('../charts/ray-operator/files/', operator);
export const configFiles = new URL('config/', operator);
const folders = ['crd', 'rbac'];

/** Path below the root → content. A folder that is not there holds nothing. */
export async function filesBelow(root: URL): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const folder of folders) {
    const names = await readdir(new URL(folder, root)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names.sort()) {
      files.set(`${folder}/${name}`, await readFile(new URL(`${folder}/${name}`, root), 'utf8'));
    }
  }
  return files;
}
