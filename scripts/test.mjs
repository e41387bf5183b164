// `make test`: all set-up, lint, type-check, every test; the last line is `N passed, N failed`, from Jest's own counts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main, SetupError } from './steps.mjs';
import { setUpForTests } from './test-environment.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

async function show(command, args, env = process.env) {
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close');
  return code;
}

main(async () => {
  const variables = await setUpForTests(root);
  if ((await show('npm', ['run', '--silent', 'lint'])) !== 0) throw new SetupError('lint failed');
  const results = await mkdtemp(join(tmpdir(), 'iocloud-test-'));
  const env = { ...process.env, ...variables, NODE_OPTIONS: '' };
  let passed = 0;
  let failed = 0;
  try {
    // End-to-end tests start whole systems: one at a time, or they would starve each other.
    for (const [project, ...flags] of [['unit'], ['integration', '--maxWorkers=2'], ['e2e', '--runInBand']]) {
      const report = join(results, `${project}.json`);
      const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
      const selection = ['--selectProjects', project, '--json', `--outputFile=${report}`, ...flags];
      const code = await show(process.execPath, [...jest, ...selection], env);
      const counts = JSON.parse(await readFile(report, 'utf8').catch(() => 'null'));
      passed += counts?.numPassedTests ?? 0;
      // A suite that could not run has no test to count: it counts itself.
      const broken = counts?.numRuntimeErrorTestSuites ?? 1;
      failed += (counts?.numFailedTests ?? 0) + broken;
      if (code !== 0 && (counts?.numFailedTests ?? 0) + broken === 0) failed += 1;
    }
  } finally {
    await rm(results, { recursive: true, force: true });
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
});
