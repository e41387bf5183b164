/**
 * Frames of a shell's stream between control plane and machine: one byte of type, four of length (big-endian), then so
 * many bytes. The machine's side is worker-bootstrap/python/shell.py.
 */
export const frameTypes = {
  /** To the machine: what is typed; an empty one is the end of it. */
  stdin: 0,
  /** To the machine: columns and rows of the terminal, 16 bits each, big-endian. */
  window: 1,
  /** To the machine: a signal's name without SIG (RFC 4254 §6.10). */
  signal: 2,
  stdout: 16,
  stderr: 17,
  /** From the machine, as JSON: `{"code": n}` or `{"signal": "TERM"}`. */
  exit: 18,
} as const;
export type FrameType = keyof typeof frameTypes;

export const longestFrameBytes = 2 ** 20;
const headBytes = 5;
const names = new Map<number, FrameType>(Object.entries(frameTypes).map(([name, type]) => [type, name as FrameType]));

export function frame(type: FrameType, payload: Uint8Array): Buffer {
  if (payload.length > longestFrameBytes) throw new RangeError(`a frame of ${payload.length} bytes is too long`);
  const bytes = Buffer.allocUnsafe(headBytes + payload.length);
  bytes[0] = frameTypes[type];
  bytes.writeUInt32BE(payload.length, 1);
  bytes.set(payload, headBytes);
  return bytes;
}

export function windowFrame(columns: number, rows: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt16BE(Math.min(columns, 0xffff), 0);
  payload.writeUInt16BE(Math.min(rows, 0xffff), 2);
  return frame('window', payload);
}

/**
 * Takes a stream of frames apart. Of stdout and stderr the pieces are given as they come, a frame's bytes maybe in
 * several; others whole.
 */
export class FrameReader {
  #head = Buffer.alloc(0);
  #type: FrameType | undefined;
  #left = 0;
  #whole: Buffer[] = [];

  /** The frames, or pieces of them, that this chunk completes. Throws RangeError at what is no frame. */
  *take(chunk: Buffer): Generator<{ type: FrameType; payload: Buffer }> {
    let rest = chunk;
    while (rest.length > 0 || (this.#type !== undefined && this.#left === 0)) {
      if (this.#type === undefined) {
        const wanted = headBytes - this.#head.length;
        this.#head = Buffer.concat([this.#head, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.#head.length < headBytes) return;
        this.#begin();
      }
      const piece = rest.subarray(0, this.#left);
      rest = rest.subarray(piece.length);
      this.#left -= piece.length;
      yield* this.#carry(piece);
    }
  }

  #begin(): void {
    const type = names.get(this.#head[0] ?? -1);
    this.#left = this.#head.readUInt32BE(1);
    this.#head = Buffer.alloc(0);
    if (type === undefined || this.#left > longestFrameBytes) throw new RangeError('this is no frame');
    this.#type = type;
  }

  *#carry(piece: Buffer): Generator<{ type: FrameType; payload: Buffer }> {
    const type = this.#type;
    if (type === undefined) return;
    const done = this.#left === 0;
    if (done) this.#type = undefined;
    if (type === 'stdout' || type === 'stderr') {
      if (piece.length > 0) yield { type, payload: piece };
      return;
    }
    this.#whole.push(piece);
    if (!done) return;
    const payload = Buffer.concat(this.#whole);
    this.#whole = [];
    yield { type, payload };
  }
}
