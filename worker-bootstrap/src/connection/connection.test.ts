import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { TestControlPlane } from '../testing/control-plane.js';
import { backoffMs } from './backoff.js';
import { Connection } from './connection.js';

const log = pino({ level: 'silent' });
const device = Buffer.from(newSshKeyPair().private);
const events = { onMessage: () => undefined, onStream: () => undefined };
const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function controlPlane() {
  const server = new TestControlPlane();
  await server.listen();
  cleanups.push(() => server.close());
  return server;
}
const open = (port: number, hostKey: string, handlers = events) =>
  Connection.open({ host: '127.0.0.1', port, hostKey }, 'nd_0123456789abcdefghjk', device, handlers, log);

describe('a connection', () => {
  test('is refused when the server has another host key than the pinned one', async () => {
    const server = await controlPlane();
    await expect(open(server.port, newSshKeyPair().public)).rejects.toThrow('another host key than the pinned one');
    expect(server.userNames).toEqual([]);
  });

  test('to something that speaks no SSH fails and nothing crashes', async () => {
    const server = createServer(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    await expect(open(port, newSshKeyPair().public)).rejects.toThrow();
  });

  test('ends when the control plane talks nonsense', async () => {
    const server = await controlPlane();
    const connection = await open(server.port, server.hostKey.public);
    server.say('{"type":"desired","revision":"x"}\n');
    expect(typeof (await connection.closed)).toBe('string');
  });

  test('hears what is desired', async () => {
    const server = await controlPlane();
    const heard: unknown[] = [];
    server.desire([]);
    const first = new Promise<void>(resolve => {
      const onMessage = (message: unknown) => {
        heard.push(message);
        resolve();
      };
      open(server.port, server.hostKey.public, { ...events, onMessage } as never).then(
        connection => cleanups.push(() => connection.end()),
        error => heard.push(error),
      );
    });
    await first;
    expect(heard).toEqual([{ type: 'desired', revision: 1, leases: [], networks: [], relay: null }]);
  });
});

test('the wait between tries grows, stays below the time of the fence, and is never the same for all', () => {
  expect(backoffMs(1, 0)).toBe(125);
  expect(backoffMs(1, 1)).toBe(250);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
      const wait = backoffMs(failures, random);
      expect(wait).toBeLessThanOrEqual(1_000);
      expect(wait).toBeGreaterThanOrEqual(125);
    }),
  );
});
