import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type RunningServer, startPostgres, startRedis } from './throwaway.js';

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('embedded PostgreSQL', () => {
  // mkdtemp makes a directory of mode 0700: the place where a server that had dropped to another user could not start.
  const dataDir = mkdtempSync(join(tmpdir(), 'iocloud-pg-'));
  let server: RunningServer;
  const query = async (sql: string) => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  };
  beforeAll(async () => {
    server = await startPostgres({ dataDir });
  });

  test('keeps what it acknowledged over kill -9', async () => {
    await query('CREATE TABLE t (n int)');
    await query('INSERT INTO t VALUES (7)');
    await server.kill();
    await server.restart();
    expect(await query('SELECT n FROM t')).toEqual([{ n: 7 }]);
  });

  test('writes through to the disk', async () => {
    expect(await query('SHOW fsync')).toEqual([{ fsync: 'on' }]);
  });

  test('lets nobody in without the password', async () => {
    const url = new URL(server.url);
    url.password = 'wrong';
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toThrow('password authentication failed');
  });

  afterAll(async () => {
    const pid = server.pid();
    await server.stop();
    expect(alive(pid)).toBe(false);
    expect(existsSync(dataDir)).toBe(false);
  });
});

describe('embedded Redis', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'iocloud-redis-'));
  let server: RunningServer;
  const ask = async <T>(url: string, question: (redis: Redis) => Promise<T>) => {
    const redis = new Redis(url, { retryStrategy: null, maxRetriesPerRequest: 1 });
    redis.on('error', () => undefined);
    try {
      return await question(redis);
    } finally {
      redis.disconnect();
    }
  };
  beforeAll(async () => {
    server = await startRedis({ dataDir });
  });

  test('keeps what it wrote over kill -9 once it is in the append-only file', async () => {
    await ask(server.url, async redis => {
      await redis.set('k', 'v');
      // BGREWRITEAOF is not needed: WAITAOF answers when this server has synced the write.
      await redis.call('WAITAOF', '1', '0', '5000');
    });
    await server.kill();
    await server.restart();
    expect(await ask(server.url, redis => redis.get('k'))).toBe('v');
  });

  test('lets nobody in without the password', async () => {
    const url = server.url.replace(/:[0-9a-f]+@/, ':wrong@');
    await expect(ask(url, redis => redis.get('k'))).rejects.toThrow(/WRONGPASS|NOAUTH|invalid/i);
  });

  afterAll(async () => {
    const pid = server.pid();
    await server.stop();
    expect(alive(pid)).toBe(false);
    expect(existsSync(dataDir)).toBe(false);
  });
});
