/** A Redis beside a bed's nodes, with a password: pods reach it at its address, the test through the gate. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findRedisServer } from '@iocloud/cli';
import { Redis as Client } from 'ioredis';
import { bedAddress, type RealBed } from './real-bed.js';

const port = 6399;

export class Redis {
  readonly address = `${bedAddress}:${port}`;

  private constructor(
    readonly password: string,
    private readonly localPort: number,
  ) {}

  static async start(bed: RealBed): Promise<Redis> {
    const program = await findRedisServer(process.env.PATH ?? '', [process.env.IOCLOUD_REDIS_VENV ?? '']);
    if (!program)
      throw new Error('no Redis: `node scripts/setup.mjs --tests` brings one and prints IOCLOUD_REDIS_VENV');
    const redis = new Redis(randomBytes(16).toString('hex'), await bed.forward('127.0.0.1', port));
    const file = join(bed.directory, 'redis.conf');
    const settings = [
      'bind 0.0.0.0',
      `port ${port}`,
      `requirepass ${redis.password}`,
      'save ""',
      `dir ${bed.directory}`,
    ];
    await writeFile(file, `${settings.join('\n')}\n`, { mode: 0o600 });
    await bed.startBeside('redis', [program, file], () =>
      redis.command('PING').then(
        () => true,
        () => false,
      ),
    );
    return redis;
  }

  /** On a connection of its own: what the test does with Redis is a handful of words. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.localPort,
      password: this.password,
      lazyConnect: true,
      retryStrategy: () => null,
    });
    client.on('error', () => undefined); // the command that fails says it
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  async keys(pattern: string): Promise<string[]> {
    return (await this.command('KEYS', pattern)) as string[];
  }
}
