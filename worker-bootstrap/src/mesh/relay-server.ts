/** The relay of a public machine: passes on datagrams between the members of one cluster, which it cannot read. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { RelayDuty } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import { dataHeadBytes, dataType, registered, registerType, tokenBytes } from './relay-wire.js';

interface Member {
  clusterId: string;
  slot: number;
  at: { address: string; port: number } | null;
}

/** Bytes that the kernel may keep for us while we are busy. */
const bufferBytes = 4 * 2 ** 20;
const placeKey = ({ address, port }: { address: string; port: number }) => `${address} ${port}`;
const seatKey = (clusterId: string, slot: number) => `${clusterId} ${slot}`;

export class RelayServer {
  readonly #byToken = new Map<string, Member>();
  readonly #bySeat = new Map<string, Member>();
  readonly #byPlace = new Map<string, Member>();
  #socket: Socket | undefined;

  constructor(readonly log: Logger) {}

  /** Resolves with the port when it listens. Throws when the port is taken. */
  async listen(port: number): Promise<number> {
    const socket = createSocket('udp4');
    this.#socket = socket;
    socket.bind(port);
    await once(socket, 'listening');
    socket.setRecvBufferSize(bufferBytes);
    socket.setSendBufferSize(bufferBytes);
    socket.on('error', error => this.log.warn({ error: error.message }, 'the relay met an error'));
    socket.on('message', (message, from) => this.#hear(message, from));
    return socket.address().port;
  }

  /** Whom it is for, from now on; those who stay need not register anew. */
  serve(members: RelayDuty['members']): void {
    const tokens = new Set(members.map(({ token }) => token));
    for (const [token, member] of this.#byToken) if (!tokens.has(token)) this.#forget(token, member);
    for (const { token, clusterId, slot } of members) {
      if (this.#byToken.has(token)) continue;
      const member: Member = { clusterId, slot, at: null };
      this.#byToken.set(token, member);
      this.#bySeat.set(seatKey(clusterId, slot), member);
    }
  }

  #forget(token: string, member: Member): void {
    this.#byToken.delete(token);
    const key = seatKey(member.clusterId, member.slot);
    if (this.#bySeat.get(key) === member) this.#bySeat.delete(key);
    if (member.at) this.#byPlace.delete(placeKey(member.at));
  }

  #hear(message: Buffer, from: RemoteInfo): void {
    if (message[0] === dataType && message.length > dataHeadBytes) this.#passOn(message, from);
    if (message[0] === registerType && message.length === 1 + tokenBytes) this.#register(message, from);
  }

  #register(message: Buffer, from: RemoteInfo): void {
    const member = this.#byToken.get(message.toString('hex', 1));
    // Nobody learns whether a token exists, and nothing is sent to whom did not ask.
    if (!member) return;
    if (member.at && placeKey(member.at) !== placeKey(from)) this.#byPlace.delete(placeKey(member.at));
    member.at = { address: from.address, port: from.port };
    this.#byPlace.set(placeKey(from), member);
    this.#socket?.send(registered, from.port, from.address);
  }

  #passOn(message: Buffer, from: RemoteInfo): void {
    const sender = this.#byPlace.get(placeKey(from));
    if (!sender) return;
    const to = this.#bySeat.get(seatKey(sender.clusterId, message.readUInt16BE(1)))?.at;
    if (!to) return;
    message.writeUInt16BE(sender.slot, 1);
    this.#socket?.send(message, to.port, to.address);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
