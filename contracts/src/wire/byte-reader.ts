/** Takes exactly so many bytes at a time from a stream. */
import type { Readable } from 'node:stream';

export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    // Its end is that of one direction only: what is still to be written goes out.
    this.#chunks = stream.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  }

  /** Hands the next `bytes` bytes to `use`, in pieces as they come. False where the stream ends before the first of them. */
  async take(bytes: number, use: (piece: Buffer) => void): Promise<boolean> {
    for (let left = bytes; left > 0; ) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done && left === bytes) return false;
        if (done) throw new Error(`the stream ended ${left} bytes early`);
        this.#rest = value;
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      use(piece);
    }
    return true;
  }
}
