/**
 * Streams into pods by the WebSocket protocol of the API server (`v4.channel.k8s.io`): each message begins with the number of
 * its channel. Of a forwarded port, 0 carries the bytes and 1 the error, and each opens with the port in two bytes. Of a
 * command, 0 to 2 are its standard streams and 3 says how it ended.
 */
import { Duplex, PassThrough } from 'node:stream';
import type { Connection } from '@iocloud/ray-operator';
import { WebSocket } from 'ws';
import { StreamRefused } from '../../inventory/index.js';

const protocol = 'v4.channel.k8s.io';
const openTimeoutMs = 10_000;
/** Of one message: a relay in between may refuse longer ones. */
const longestMessage = 32 * 1024;

/** Opens what `of` makes of the socket, which listens from the beginning: the first messages come with the answer itself. */
export async function openChannels<T>(connection: Connection, path: string, of: (socket: WebSocket) => T): Promise<T> {
  const { server } = connection;
  const { agent, headers } = await connection.options();
  const url = new URL(server.pathname.replace(/\/$/, '') + path, server);
  url.protocol = server.protocol === 'http:' ? 'ws:' : 'wss:';
  const socket = new WebSocket(url, [protocol], {
    ...(agent === undefined ? {} : { agent }),
    headers: headers as Record<string, string>,
    handshakeTimeout: openTimeoutMs,
    perMessageDeflate: false,
  });
  const made = of(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', error =>
      reject(new StreamRefused('offline', `the API server opened no stream: ${error.message}`)),
    );
  });
  return made;
}

const ignoreErrors = () => undefined;

/** A connection to a port of a pod, as a stream. The protocol knows no end of one direction alone: ended, it is closed. */
export class ForwardedPort extends Duplex {
  /** Messages of each channel that came: the first says the port. */
  readonly #begun = [false, false];

  constructor(readonly socket: WebSocket) {
    super({ allowHalfOpen: false });
    // Whoever takes the stream hears of its errors by itself; before and after that nobody would.
    this.on('error', ignoreErrors);
    socket.on('message', (data: Buffer) => this.#take(data));
    socket.on('close', () => {
      if (!this.destroyed) this.push(null);
    });
    socket.on('error', error => this.destroy(error));
  }

  #take(message: Buffer): void {
    const channel = message[0] ?? 0;
    const bytes = message.subarray(this.#begun[channel] ? 1 : 3);
    this.#begun[channel] = true;
    if (bytes.length === 0 || this.destroyed) return;
    if (channel === 1) this.destroy(new Error(`the port could not be reached: ${bytes.toString('utf8').trim()}`));
    else if (!this.push(bytes)) this.socket.pause();
  }

  override _read(): void {
    if (this.socket.isPaused) this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    if (this.socket.readyState !== WebSocket.OPEN) {
      done(new Error('the connection has closed'));
      return;
    }
    for (let from = 0; from < chunk.length; from += longestMessage) {
      const part = chunk.subarray(from, from + longestMessage);
      const isLast = from + longestMessage >= chunk.length;
      this.socket.send(Buffer.concat([Buffer.of(0), part]), error => {
        if (isLast) done(error ?? undefined);
      });
    }
  }

  override _final(done: () => void): void {
    this.socket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.on('error', ignoreErrors);
    this.socket.terminate();
    done(error);
  }
}

/** The command ended with this exit code. */
export class CommandFailed extends Error {
  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
  }
}

interface EndStatus {
  status?: string;
  message?: string;
  details?: { causes?: { reason?: string; message?: string }[] };
}

/**
 * Runs a command in a pod and gives its standard output, which ends when the command has ended well and fails when it has
 * not. Destroyed, it ends the command, too, whose standard input closes.
 */
export async function runInPod(
  connection: Connection,
  podPath: string,
  container: string,
  command: string[],
): Promise<PassThrough> {
  const query = new URLSearchParams({ container, stdin: 'true', stdout: 'true', stderr: 'true' });
  for (const word of command) query.append('command', word);
  return openChannels(connection, `${podPath}/exec?${query}`, socket => {
    const output = new PassThrough();
    socket.on('message', (data: Buffer) => {
      const bytes = data.subarray(1);
      if (bytes.length === 0 || output.destroyed) return;
      if (data[0] === 1 && !output.write(bytes)) socket.pause();
      if (data[0] !== 3) return;
      const failure = failureOf(JSON.parse(bytes.toString('utf8')));
      if (failure) output.destroy(failure);
      else output.end();
    });
    output.on('drain', () => socket.resume());
    // Whoever takes the stream hears of its errors by itself; before and after that nobody would.
    output.on('error', ignoreErrors);
    output.on('close', () => socket.terminate());
    socket.on('error', error => output.destroy(error));
    socket.on('close', () => {
      if (!output.writableEnded) output.destroy(new Error('the connection to the pod broke'));
    });
    return output;
  });
}

function failureOf({ status, message = '', details }: EndStatus): Error | null {
  if (status === 'Success') return null;
  const code = details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  return new CommandFailed(Number(code ?? -1), message);
}
