// Where a program is, of the directories of the PATH.
import { delimiter, join } from 'node:path';
import { exists } from './python-env.mjs';

/** Path of the first of them; null where there is none. */
export async function onPath(...names) {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) if (await exists(join(dir, name))) return join(dir, name);
  }
  return null;
}
