import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { callOnce } from './grpc.js';

const servers: Http2Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise(resolve => server.close(resolve));
});

async function serve(answer: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void): Promise<Socket> {
  const server = createServer();
  servers.push(server);
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    answer(stream, headers);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return connect((server.address() as AddressInfo).port, '127.0.0.1');
}

function reply(stream: ServerHttp2Stream, body: Buffer, status = '0'): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
  stream.end(body);
}
const message = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]);
const call = {
  path: '/x.Y/Z',
  request: Buffer.from('ask'),
  headers: { authorization: 'Bearer t' },
  timeoutMs: 2_000,
  maxAnswerBytes: 100,
};

describe('a gRPC call over a stream', () => {
  test('sends its message with its headers, and gives the answer', async () => {
    const socket = await serve((stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const asked = Buffer.concat(chunks).subarray(5).toString();
        reply(stream, message(`${asked} ${headers[':path']} ${headers.authorization}`));
      });
    });
    expect((await callOnce(socket, call)).toString()).toBe('ask /x.Y/Z Bearer t');
    expect(socket.destroyed).toBe(true);
  });

  test('that is refused rejects with the status and its words', async () => {
    const socket = await serve(stream =>
      stream.respond({ ':status': 200, 'grpc-status': '16', 'grpc-message': 'no' }, { endStream: true }),
    );
    await expect(callOnce(socket, call)).rejects.toThrow('refused with status 16: no');
  });

  test('that is never answered rejects in time', async () => {
    const socket = await serve(() => undefined);
    await expect(callOnce(socket, { ...call, timeoutMs: 50 })).rejects.toThrow('no answer within 50 ms');
    expect(socket.destroyed).toBe(true);
  });

  test('whose connection breaks rejects', async () => {
    const socket = await serve(stream => stream.session?.destroy());
    await expect(callOnce(socket, call)).rejects.toThrow();
  });

  test('whose answer is too long, or cut off, rejects', async () => {
    const long = await serve(stream => reply(stream, Buffer.alloc(200)));
    await expect(callOnce(long, call)).rejects.toThrow('longer than 100 bytes');
    const short = await serve(stream => reply(stream, message('hello').subarray(0, 7)));
    await expect(callOnce(short, call)).rejects.toThrow('not one whole message');
  });
});
