/** One small real Ray job through the front door: what a user does first, done once before they do. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { LaunchError, type Settings } from './settings.js';

const program =
  'import ray; ray.init(); f = ray.remote(lambda n: n * n); print("squares from Ray:", ray.get([f.remote(n) for n in range(5)]))';
const deadlineMs = 180_000;
const expected = 'squares from Ray: [0, 1, 4, 9, 16]';

/** Prints the job's output and its time. Throws LaunchError with all that the client printed when it fails. */
export async function runSelfCheck(
  settings: Settings,
  apiKey: string,
  address: string,
  say: (line: string) => void,
): Promise<void> {
  say('  self-check: a Ray job through the front door …');
  const started = Date.now();
  const child = spawn(join(settings.venv, 'bin', 'ray'), ['job', 'submit', '--', 'python', '-c', program], {
    env: {
      ...process.env,
      RAY_ADDRESS: address,
      RAY_API_SERVER_ADDRESS: address,
      RAY_AUTH_MODE: 'token',
      RAY_AUTH_TOKEN: apiKey,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const deadline = setTimeout(() => child.kill('SIGTERM'), deadlineMs);
  const [code] = await once(child, 'close');
  clearTimeout(deadline);
  if (code !== 0 || !output.includes(expected)) {
    throw new LaunchError(`the self-check failed; the job said:\n${output}`);
  }
  say(`    ${expected}`);
  say(`  self-check: ${((Date.now() - started) / 1000).toFixed(1)} s, cluster start included`);
}
