import { expect, test } from '@jest/globals';
import type { Queryable, Transaction } from './database.js';
import { inOrderOf, lookUp, together } from './look-up.js';

const query = () => Promise.reject(new Error('nothing here asks by itself'));
/** As `Database`, which has a method of this name. */
const pool = (): Queryable => Object.assign({ query }, { transaction: query });

test('calls that come while a statement is under way share the next, and each gets its own row', async () => {
  const statements: string[][] = [];
  const find = lookUp<string, { key: string }>(async (_db, keys) => {
    statements.push(keys);
    await Promise.resolve();
    const rows = keys.filter(key => key !== 'absent').map(key => ({ key }));
    return inOrderOf(keys, rows.reverse(), row => row.key);
  });
  const db = pool();
  const found = await Promise.all(['a', 'b', 'absent', 'b', 'c'].map(key => find(db, key)));
  expect(found).toEqual([{ key: 'a' }, { key: 'b' }, null, { key: 'b' }, { key: 'c' }]);
  expect(statements).toEqual([['a'], ['b', 'absent', 'b', 'c']]);
});

test('a transaction and another pool read for themselves', async () => {
  const asked: Queryable[] = [];
  const find = lookUp<string, string>(async (db, keys) => {
    asked.push(db);
    return keys;
  });
  const one = pool();
  const other = pool();
  const tx: Transaction = { query, transaction: true };
  await Promise.all([find(one, 'a'), find(tx, 'a'), find(other, 'a'), find(tx, 'b')]);
  expect(asked).toEqual([one, tx, other, tx]);
});

test('what comes while a write is under way is written together, pool by pool', async () => {
  const written: string[][] = [];
  const write = together<Queryable, string, string>(async (_db, items) => {
    written.push(items);
    await Promise.resolve();
    return items.map(item => `${item} done`);
  });
  const [one, other] = [pool(), pool()];
  const done = await Promise.all([write(one, 'a'), write(one, 'b'), write(other, 'c'), write(one, 'd')]);
  expect(done).toEqual(['a done', 'b done', 'c done', 'd done']);
  expect(written).toEqual([['a'], ['c'], ['b', 'd']]);
});
