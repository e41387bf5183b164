// Removes everything that make has made in this checkout; stops what runs from it first.
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exists } from './python-env.mjs';
import { main, run, step } from './steps.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const home = resolve(root, process.env.IOCLOUD_HOME ?? '.iocloud');
const workspaces = ['contracts', 'control-plane', 'worker-bootstrap', 'cli', 'ray-operator', 'e2e'];

main(async () => {
  if ((await exists(join(home, 'run'))) && (await exists(join(root, 'cli/dist/main.js')))) {
    await step('stop what runs', () =>
      run(process.execPath, ['cli/bin/iocloud.js', 'down'], { cwd: root }).then(() => ''),
    );
  }
  const made = [home, join(root, 'node_modules'), ...workspaces.map(name => join(root, name, 'dist'))];
  for (const path of made) {
    if (await exists(path)) await step(`remove ${path}`, () => rm(path, { recursive: true, force: true }));
  }
});
