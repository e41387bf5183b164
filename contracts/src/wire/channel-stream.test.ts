import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import { ChannelStream } from './channel-stream.js';
import { firstLine } from './lines.js';
import { newSshKeyPair } from './ssh-key.js';

const path = '/stream';
let server: ssh2.Server;
let client: ssh2.Client;
let connection: Connection;

beforeEach(async () => {
  const key = newSshKeyPair();
  server = new ssh2.Server({ hostKeys: [key.private] }, accepted => {
    connection = accepted;
    accepted.on('error', () => undefined);
    accepted.on('authentication', context => context.accept());
    accepted.on('request', accept => accept?.());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new ssh2.Client();
  client.on('error', () => undefined);
  const { port } = server.address() as AddressInfo;
  client.connect({ host: '127.0.0.1', port, username: 'test', strictVendor: false });
  await once(client, 'ready');
  await new Promise<void>((resolve, reject) =>
    client.openssh_forwardInStreamLocal(path, error => (error ? reject(error) : resolve())),
  );
});

afterEach(async () => {
  const closed = once(server, 'close');
  client.destroy();
  server.close();
  await closed;
});

/** A channel as both ends see it: theirs as ssh2 gives it, ours wrapped. */
async function openChannel(): Promise<{ ours: ChannelStream; theirs: Duplex }> {
  const theirs = new Promise<Duplex>(resolve => client.once('unix connection', (_info, accept) => resolve(accept())));
  const opened = await new Promise<ServerChannel>((resolve, reject) =>
    connection.openssh_forwardOutStreamLocal(path, (error, channel) =>
      error ? reject(error) : resolve(channel as ServerChannel),
    ),
  );
  return { ours: new ChannelStream(opened), theirs: await theirs };
}

async function textOf(stream: Duplex): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

test('what one end writes the other reads, and an orderly end is one', async () => {
  const { ours, theirs } = await openChannel();
  ours.write('question\n');
  expect(await firstLine(theirs, 100, 5_000)).toBe('question');
  theirs.end('answer\nthe rest');
  expect(await firstLine(ours, 100, 5_000)).toBe('answer');
  ours.expect('the rest'.length);
  expect(await textOf(ours)).toBe('the rest');
});

test('an end that comes before all was sent is an error, in order or with the connection', async () => {
  const short = await openChannel();
  short.ours.expect(10);
  short.theirs.end('half');
  await expect(textOf(short.ours)).rejects.toThrow('6 bytes early');

  const broken = await openChannel();
  broken.ours.expect(10);
  broken.theirs.write('half');
  await once(broken.ours, 'readable');
  client.destroy();
  await expect(textOf(broken.ours)).rejects.toThrow('6 bytes early');
});

test('destroyed with bytes unread it closes at once, here and at the other end', async () => {
  const { ours, theirs } = await openChannel();
  theirs.write(Buffer.alloc(1_000_000));
  await once(ours, 'readable');
  theirs.resume();
  const closed = [once(ours, 'close'), once(theirs, 'close')];
  ours.destroy();
  await Promise.all(closed);
});

test('a write that the other end never reads fails when the channel goes, and does not hang', async () => {
  const { ours, theirs } = await openChannel();
  theirs.pause();
  ours.resume();
  const failed = new Promise<Error>(resolve => ours.on('error', resolve));
  const written = new Promise<Error | null | undefined>(resolve => ours.write(Buffer.alloc(8_000_000), resolve));
  client.destroy();
  expect(await written).toBeInstanceOf(Error);
  expect((await failed).message).toContain('closed');
});
