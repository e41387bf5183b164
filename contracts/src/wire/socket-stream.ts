/**
 * A TCP connection over a WebSocket: binary frames are its bytes, the text frame `end` is the end of one direction, which
 * a WebSocket has no word for, and its close is that of both.
 */
import { Duplex } from 'node:stream';

/** What is used of a WebSocket of the package `ws`. */
export interface FrameSocket {
  send(data: Uint8Array | string, sent: (error?: Error | null) => void): void;
  close(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  // biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own
  on(event: 'message' | 'close' | 'error', listener: (...args: any[]) => void): unknown;
}

export class SocketStream extends Duplex {
  #ended = false;

  constructor(readonly socket: FrameSocket) {
    super({ allowHalfOpen: true });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#ended) return;
      if (!isBinary) this.#end();
      else if (!this.push(data)) socket.pause();
    });
    socket.on('error', error => this.destroy(error as Error));
    socket.on('close', () => {
      this.#end();
      if (!this.writableFinished) this.destroy();
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.socket.send(chunk, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.socket.send('end', error => callback(error));
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (error) this.socket.terminate();
    else this.socket.close();
    callback(error);
  }
}
