/** Each example of the repository, submitted as its README says, with its result checked. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { repository, Stack } from './harness/index.js';

jest.setTimeout(300_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack?.stop());

const examples = readdirSync(join(repository, 'examples'), { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  .map(entry => entry.name);

test('there are three', () => expect(examples.length).toBeGreaterThanOrEqual(3));

test.each(examples)('%s runs by the line in its README and finds the right result', async name => {
  const readme = readFileSync(join(repository, 'examples', name, 'README.md'), 'utf8');
  const line = /^ray job submit .*$/m.exec(readme)?.[0];
  if (!line) throw new Error(`examples/${name}/README.md has no line that starts with \`ray job submit\``);
  const result = await stack.run('bash', ['-c', line], { cwd: repository });
  expect(result.stdout + result.stderr).toMatch(/^OK /m);
  expect(result.code).toBe(0);
});
