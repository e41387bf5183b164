import { describe, expect, test } from '@jest/globals';
import { readiness } from './readiness.js';

const yes = async () => true;

describe('readiness', () => {
  test('names what does not answer', async () => {
    expect(await readiness({ database: yes, redis: async () => false }, 1_000)).toEqual({
      ready: false,
      text: 'not ready\nPostgreSQL: ok\nRedis: does not answer\n',
    });
  });

  test('a check that fails, or never ends, counts as no answer', async () => {
    const { ready, text } = await readiness(
      {
        database: () => Promise.reject(new Error('connection refused to postgres://user:secret@host')),
        redis: () => new Promise(() => undefined),
      },
      10,
    );
    expect(ready).toBe(false);
    expect(text).toBe('not ready\nPostgreSQL: does not answer\nRedis: does not answer\n');
  });

  test('is ready when all answer', async () => {
    expect((await readiness({ database: yes, redis: yes }, 1_000)).ready).toBe(true);
  });
});
