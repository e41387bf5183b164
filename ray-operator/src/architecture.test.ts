/** What ARCHITECTURE.md and docs/kubernetes.md say of the operator, held against its code. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const source = fileURLToPath(new URL('.', import.meta.url));
const files = (readdirSync(source, { recursive: true }) as string[])
  .filter(name => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .map(name => ({ name, text: readFileSync(join(source, name), 'utf8') }));
const within = (folder: string) =>
  files.filter(({ name }) => name.startsWith(`${folder}/`) && !name.includes('testing/'));

test('core knows nothing but itself and the types of the API, and does no I/O', () => {
  const core = within('core');
  expect(core.length).toBeGreaterThan(10);
  const outside = core.flatMap(({ name, text }) =>
    [...text.matchAll(/^(?:import|export) (type )?.*?from '([^']+)'/gms)]
      .filter(([, type, target = '']) => {
        const place = target.startsWith('.') ? join(dirname(name), target) : target;
        return !place.startsWith('core/') && !(type && place.startsWith('api/'));
      })
      .map(([, , target]) => `${name}: ${target}`),
  );
  expect(outside).toEqual([]);
  const impure = core.filter(({ text }) => /Date\.now|new Date\(\)|Math\.random|process\./.test(text));
  expect(impure.map(({ name }) => name)).toEqual([]);
});

test('the machinery of Kubernetes knows no controller', () => {
  const upward = within('kubernetes').filter(({ text }) => /from '\.\.\/controller\//.test(text));
  expect(upward.map(({ name }) => name)).toEqual([]);
});

test('every setting is in docs/kubernetes.md, and none besides', () => {
  const settings = (text: string) => [...new Set(text.match(/RAY_OPERATOR_\w+/g) ?? [])].sort();
  const docs = readFileSync(join(source, '../../docs/kubernetes.md'), 'utf8');
  expect(settings(docs)).toEqual(settings(files.map(({ text }) => text).join('\n')));
});
