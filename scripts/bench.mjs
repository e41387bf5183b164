// Runs each benchmark of e2e/bench in turn; each prints one JSON object.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { setUpForTests } from './test-environment.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const env = { ...process.env, ...(await setUpForTests(root)) };
const directory = join(root, 'e2e', 'dist', 'bench'); // compiled from e2e/bench
// kube-scheduler builds Kubernetes before it measures, and the others fill an idle machine for minutes: by hand only.
const byHand = [
  'kube-scheduler.bench.js',
  'scale.bench.js',
  'agents.bench.js',
  'mega-raycluster.bench.js',
  'raycluster-surge.bench.js',
  'raycluster-idle.bench.js',
];
const runsHere = file => file.endsWith('.bench.js') && !byHand.includes(file);
for (const name of (await readdir(directory)).filter(runsHere).sort()) {
  const child = spawn(process.execPath, [join(directory, name)], { cwd: root, stdio: 'inherit', env });
  const [code] = await once(child, 'close');
  if (code !== 0) process.exitCode = 1;
}
