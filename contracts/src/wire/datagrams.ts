/**
 * Datagrams of a cluster's network on a stream, where UDP is blocked: two bytes length, two bytes slot (big endian), and the
 * datagram. Towards the hub the slot is that of whom it is for, from the hub that of whom it is from.
 */
export const longestDatagramBytes = 2_048;
const headBytes = 4;

export function datagramFrame(slot: number, datagram: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(headBytes + datagram.length);
  framed.writeUInt16BE(datagram.length, 0);
  framed.writeUInt16BE(slot, 2);
  framed.set(datagram, headBytes);
  return framed;
}

/** Takes a stream's pieces as they come and gives each whole datagram to `use`. */
export class Unframer {
  #rest: Buffer = Buffer.alloc(0);

  constructor(readonly use: (slot: number, datagram: Buffer) => void) {}

  /** Throws a RangeError at a datagram that is longer than any can be. */
  push(piece: Buffer): void {
    let bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    while (bytes.length >= headBytes) {
      const length = bytes.readUInt16BE(0);
      if (length > longestDatagramBytes) throw new RangeError(`a datagram of ${length} bytes`);
      if (bytes.length < headBytes + length) break;
      this.use(bytes.readUInt16BE(2), bytes.subarray(headBytes, headBytes + length));
      bytes = bytes.subarray(headBytes + length);
    }
    this.#rest = bytes;
  }
}
