// Progress of the set-up, a line a step, and the one way in which it fails: one line that says what to do.
import { spawn } from 'node:child_process';

export class SetupError extends Error {
  name = 'SetupError';
}

/** Runs a step and prints what it was and how long it took. */
export async function step(title, work) {
  const started = Date.now();
  process.stderr.write(`  ${title} … `);
  const note = await work();
  process.stderr.write(`${note ? `${note}, ` : ''}${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

/** Runs a program quietly; its output is shown only when it fails. It ends with us, so that the next set-up meets none at work. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let stdout = '';
    child.stdout.on('data', chunk => {
      output += chunk;
      stdout += chunk;
    });
    child.stderr.on('data', chunk => {
      output += chunk;
    });
    const endWithUs = () => child.kill('SIGKILL');
    process.once('exit', endWithUs);
    child.on('error', reject);
    child.on('close', code => {
      process.off('exit', endWithUs);
      if (code === 0) resolve(stdout);
      else
        reject(new SetupError(`${command} ${args.slice(0, 3).join(' ')} … failed (${code}):\n${output.slice(-3000)}`));
    });
  });
}

/** Runs a script's main function; a SetupError ends it with its message alone. */
export function main(work) {
  work().catch(error => {
    process.stderr.write(`\n${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exit(1);
  });
}
