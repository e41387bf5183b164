/**
 * An SSH channel as a stream that keeps Node's promises. ssh2's own channels do not: after `destroy` they close only when
 * all that they hold has been read, a write to one that has closed never calls back, and a connection that breaks looks
 * like an orderly end.
 */
import { Duplex } from 'node:stream';

export class ChannelStream extends Duplex {
  #received = 0;
  #ended = false;
  #expected = 0;
  #pendingWrite: ((error?: Error) => void) | undefined;

  constructor(readonly channel: Duplex) {
    super({ allowHalfOpen: true });
    channel.on('data', (chunk: Buffer) => {
      this.#received += chunk.length;
      if (!this.destroyed && !this.push(chunk)) channel.pause();
    });
    channel.on('end', () => this.#end());
    channel.on('error', (error: Error) => this.destroy(error));
    channel.on('close', () => {
      this.#end();
      this.#settle(new Error('the channel has closed'));
      if (!this.writableFinished) this.end();
    });
    channel.pause();
  }

  #end(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    if (!this.#isShort()) this.push(null);
  }

  /** From what is read next, so many bytes are to come: an end before that is an error. */
  expect(bytes: number): void {
    this.#expected = this.#received - this.readableLength + bytes;
    if (this.#ended) this.#isShort();
  }

  #isShort(): boolean {
    const missing = this.#expected - this.#received;
    if (missing > 0) this.destroy(new Error(`the channel ended ${missing} bytes early`));
    return missing > 0;
  }

  #settle(error?: Error): void {
    const pending = this.#pendingWrite;
    this.#pendingWrite = undefined;
    pending?.(error);
  }

  override _read(): void {
    this.channel.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, callback: (error?: Error) => void): void {
    this.#pendingWrite = callback;
    if (this.#isOver()) this.#settle(new Error('the channel has closed'));
    else this.channel.write(chunk, encoding, error => this.#settle(error ?? undefined));
  }

  override _final(callback: (error?: Error) => void): void {
    if (!this.#isOver()) this.channel.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#settle(error ?? new Error('the stream was destroyed'));
    this.channel.destroy();
    // What is left must be read, or the channel never closes.
    this.channel.resume();
    callback(error);
  }

  #isOver(): boolean {
    return !this.channel.writable || this.channel.writableEnded;
  }
}
