/** A member's ends of its relays: the UDP relay of a public machine, and a stream of the agent's connection. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { datagramFrame, Unframer } from '@iocloud/contracts/wire';
import { dataHead, dataHeadBytes, dataType, registeredType, registration } from './relay-wire.js';

/** What a relay brought: a datagram from the machine with this slot. */
export type Deliver = (slot: number, datagram: Buffer) => void;

const registerEveryMs = 2_000;
/** After so many registrations without an answer nothing is sent this way any more. */
const unansweredMs = 3 * registerEveryMs;
const bufferBytes = 4 * 2 ** 20;

export class UdpRelay {
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  readonly #host: string;
  readonly #port: number;

  constructor(
    readonly endpoint: string,
    readonly token: string,
    readonly deliver: Deliver,
    /** It answers for the first time, or again. */
    readonly onUsable: () => void,
  ) {
    const colon = endpoint.lastIndexOf(':');
    this.#host = endpoint.slice(0, colon);
    this.#port = Number(endpoint.slice(colon + 1));
  }

  open(): void {
    const socket = createSocket('udp4');
    this.#socket = socket;
    // A machine without a way there says so with each datagram; the next registration tries again.
    socket.on('error', () => undefined);
    socket.on('message', message => {
      if (message[0] === dataType && message.length > dataHeadBytes) {
        return this.deliver(message.readUInt16BE(1), message.subarray(dataHeadBytes));
      }
      if (message[0] !== registeredType) return undefined;
      const was = this.usable;
      this.#answeredAtMs = performance.now();
      if (!was) this.onUsable();
      return undefined;
    });
    socket.bind(0, () => {
      socket.setRecvBufferSize(bufferBytes);
      socket.setSendBufferSize(bufferBytes);
      this.#register();
    });
    this.#timer = setInterval(() => this.#register(), registerEveryMs);
  }

  #register(): void {
    this.#socket?.send(registration(this.token), this.#port, this.#host, () => undefined);
  }

  get usable(): boolean {
    return performance.now() - this.#answeredAtMs < unansweredMs;
  }

  send(slot: number, datagram: Buffer): void {
    this.#socket?.send([dataHead(slot), datagram], this.#port, this.#host, () => undefined);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/** More than so many bytes wait for no stream: as in any network what is too much is dropped, and the ends slow down. */
const mostWaitingBytes = 2 * 2 ** 20;

export class StreamRelay {
  #stream: Duplex | undefined;

  constructor(
    readonly deliver: Deliver,
    readonly onUsable: () => void,
  ) {}

  /** Takes this stream in place of an earlier one. Resolves when it is over. */
  async carry(stream: Duplex): Promise<void> {
    this.#stream?.destroy();
    this.#stream = stream;
    const unframer = new Unframer(this.deliver);
    stream.on('data', (piece: Buffer) => {
      try {
        unframer.push(piece);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
    this.onUsable();
    await once(stream, 'close').catch(() => undefined);
    if (this.#stream === stream) this.#stream = undefined;
  }

  get usable(): boolean {
    return this.#stream?.writable === true;
  }

  send(slot: number, datagram: Buffer): void {
    const stream = this.#stream;
    if (stream?.writable && stream.writableLength < mostWaitingBytes) stream.write(datagramFrame(slot, datagram));
  }

  close(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
  }
}

/**
 * Stands on this machine for a peer that is reached through a relay: the device sends to its port what is for the peer, and
 * gets from there what comes from it.
 */
export class Stand {
  readonly #socket = createSocket('udp4');
  /** As the device names it. */
  endpoint = '';

  private constructor(readonly devicePort: () => number) {}

  static async open(devicePort: () => number, send: (datagram: Buffer) => void): Promise<Stand> {
    const stand = new Stand(devicePort);
    stand.#socket.on('error', () => undefined);
    stand.#socket.on('message', (datagram, from) => {
      if (from.port === devicePort()) send(datagram);
    });
    stand.#socket.bind(0, '127.0.0.1');
    await once(stand.#socket, 'listening');
    stand.#socket.setRecvBufferSize(bufferBytes);
    stand.endpoint = `127.0.0.1:${stand.#socket.address().port}`;
    return stand;
  }

  deliver(datagram: Buffer): void {
    this.#socket.send(datagram, this.devicePort(), '127.0.0.1', () => undefined);
  }

  close(): void {
    this.#socket.close();
  }
}
