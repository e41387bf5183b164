/** What is sent through a tunnel: a server of a few lines at its end, and the calls that measure it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { median } from '../measure.js';

/**
 * A program for Node. The first five bytes of a connection say what is wanted: `d` and `u` with a number of bytes (32
 * bits, big-endian) down or up, `e` an echo. Prints its port.
 */
export const serverProgram = `
const chunk = Buffer.alloc(256 * 1024, 7);
require('node:net').createServer({ noDelay: true }, socket => {
  socket.on('error', () => undefined);
  socket.once('data', first => {
    const kind = String.fromCharCode(first[0]);
    const total = first.readUInt32BE(1);
    if (kind === 'e') { socket.write(first.subarray(5)); return socket.pipe(socket); }
    if (kind === 'u') {
      let got = first.length - 5;
      socket.on('data', more => { got += more.length; if (got === total) socket.end('k'); });
      return;
    }
    let sent = 0;
    const send = () => {
      while (sent < total) {
        const piece = chunk.subarray(0, Math.min(chunk.length, total - sent));
        sent += piece.length;
        if (!socket.write(piece)) return socket.once('drain', send);
      }
      socket.end();
    };
    send();
  });
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
`;

function head(kind: string, bytes: number): Buffer {
  const buffer = Buffer.alloc(5, kind);
  buffer.writeUInt32BE(bytes, 1);
  return buffer;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

const perSecond = (bytes: number, startedMs: number) => bytes / 1e6 / ((performance.now() - startedMs) / 1000);

/** MB/s. */
export async function down(port: number, bytes: number): Promise<number> {
  const socket = await open(port);
  const started = performance.now();
  let got = 0;
  socket.on('data', (piece: Buffer) => {
    got += piece.length;
  });
  socket.write(head('d', bytes));
  await once(socket, 'end');
  if (got !== bytes) throw new Error(`${got} of ${bytes} bytes came`);
  return perSecond(bytes, started);
}

/** MB/s. */
export async function up(port: number, bytes: number): Promise<number> {
  const socket = await open(port);
  const started = performance.now();
  const chunk = Buffer.alloc(256 * 1024, 7);
  socket.write(head('u', bytes));
  for (let sent = 0; sent < bytes; sent += chunk.length) {
    if (!socket.write(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))) await once(socket, 'drain');
  }
  await once(socket, 'data');
  socket.destroy();
  return perSecond(bytes, started);
}

/** Median of the round trips of 64 bytes on one connection, ms. */
export async function roundTrip(port: number, times: number): Promise<number> {
  const socket = await open(port);
  socket.write(head('e', 0));
  const message = Buffer.alloc(64, 1);
  const all: number[] = [];
  for (let n = 0; n < times; n++) {
    const started = performance.now();
    socket.write(message);
    for (let got = 0; got < message.length; ) got += ((await once(socket, 'data')) as [Buffer])[0].length;
    all.push(performance.now() - started);
  }
  socket.destroy();
  return median(all);
}

/** So many connections at once, 64 KiB down each: until all are through, ms. */
export async function many(port: number, connections: number): Promise<number> {
  const started = performance.now();
  await Promise.all(Array.from({ length: connections }, () => down(port, 65_536)));
  return performance.now() - started;
}
