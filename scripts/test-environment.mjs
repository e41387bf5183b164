// The set-up of tests and benchmarks, and the variables by which they find what it made.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SetupError } from './steps.mjs';

/** Sets up and returns the environment that the tests need. */
export async function setUpForTests(root) {
  const child = spawn(process.execPath, ['scripts/setup.mjs', '--tests'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', chunk => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new SetupError('the set-up failed');
  return Object.fromEntries(
    output
      .trim()
      .split('\n')
      .map(line => line.split(/=(.*)/s).slice(0, 2)),
  );
}
