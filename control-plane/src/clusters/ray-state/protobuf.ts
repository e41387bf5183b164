/**
 * As much of the protobuf wire format as Ray's resource state needs (https://protobuf.dev/programming-guides/encoding/):
 * reading any message, field by field, and writing strings, bytes and small integers.
 */

/** Values by field number, in their order. Varints and fixed numbers are numbers; everything with a length is bytes. */
export class Message {
  readonly #fields = new Map<number, (number | Buffer)[]>();

  /** Throws RangeError for bytes that are no message. */
  constructor(bytes: Buffer) {
    let at = 0;
    const varint = (): number => {
      let value = 0;
      for (let shift = 1; ; shift *= 128) {
        const byte = bytes.readUInt8(at);
        at += 1;
        value += (byte & 0x7f) * shift;
        if (byte < 0x80) return value;
        if (shift > 2 ** 63) throw new RangeError('a varint of more than ten bytes');
      }
    };
    while (at < bytes.length) {
      const tag = varint();
      const wireType = tag & 7;
      const field = Math.floor(tag / 8);
      let value: number | Buffer;
      if (wireType === 0) value = varint();
      else if (wireType === 1) {
        value = bytes.readDoubleLE(at);
        at += 8;
      } else if (wireType === 2) {
        const length = varint();
        if (at + length > bytes.length) throw new RangeError(`field ${field} is cut off`);
        value = bytes.subarray(at, at + length);
        at += length;
      } else if (wireType === 5) {
        value = bytes.readFloatLE(at);
        at += 4;
      } else {
        throw new RangeError(`field ${field} has the unknown wire type ${wireType}`);
      }
      const values = this.#fields.get(field);
      if (values) values.push(value);
      else this.#fields.set(field, [value]);
    }
  }

  /** The last one counts, and an absent number is 0. */
  number(field: number): number {
    const value = this.#fields.get(field)?.at(-1) ?? 0;
    if (typeof value !== 'number') throw new RangeError(`field ${field} is no number`);
    return value;
  }

  /** An absent field is empty. */
  bytes(field: number): Buffer {
    return this.#buffers(field).at(-1) ?? Buffer.alloc(0);
  }

  text(field: number): string {
    return this.bytes(field).toString('utf8');
  }

  texts(field: number): string[] {
    return this.#buffers(field).map(value => value.toString('utf8'));
  }

  message(field: number): Message {
    return new Message(this.bytes(field));
  }

  messages(field: number): Message[] {
    return this.#buffers(field).map(value => new Message(value));
  }

  /** A `map<string, double>`. */
  amounts(field: number): Record<string, number> {
    return Object.fromEntries(this.messages(field).map(entry => [entry.text(1), entry.number(2)]));
  }

  /** A `map<string, string>`. */
  labels(field: number): Record<string, string> {
    return Object.fromEntries(this.messages(field).map(entry => [entry.text(1), entry.text(2)]));
  }

  #buffers(field: number): Buffer[] {
    return (this.#fields.get(field) ?? []).map(value => {
      if (typeof value === 'number') throw new RangeError(`field ${field} is a number`);
      return value;
    });
  }
}

function varintOf(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** One field: a whole number that is not negative, a text, or bytes (a message in it, for one). */
export function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === 'number') return Buffer.concat([varintOf(number * 8), varintOf(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varintOf(number * 8 + 2), varintOf(bytes.length), bytes]);
}
