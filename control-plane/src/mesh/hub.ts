/**
 * Datagrams between members of one cluster, by way of this control plane, for members that no UDP reaches: one stream to each
 * of them, over their agents' connections. It cannot read them. What is too much is dropped, as in any network.
 */
import type { Duplex } from 'node:stream';
import type { ClusterId, NodeId } from '@iocloud/contracts';
import { datagramFrame, Unframer } from '@iocloud/contracts/wire';
import { type Machines, StreamRefused } from '../inventory/ports.js';
import type { Logger } from '../platform/index.js';

interface Member {
  node_id: NodeId;
  slot: number;
}

interface Circle {
  /** Members that asked for it. It lasts as long as there is one. */
  wanting: Set<NodeId>;
  /** All that belong to the network, by slot. */
  members: Map<number, NodeId>;
  streams: Map<number, Duplex>;
  opening: Set<number>;
}

/** More than so many bytes wait for no member. */
const mostWaitingBytes = 2 * 2 ** 20;

/** A stream that broke, or could not be opened, is tried again after so long. Milliseconds. */
const reopenMs = 1_000;
const newCircle = (): Circle => ({ wanting: new Set(), members: new Map(), streams: new Map(), opening: new Set() });

export class Hub {
  readonly #circles = new Map<ClusterId, Circle>();

  constructor(
    readonly machines: Pick<Machines, 'openStream'>,
    readonly log: Logger,
  ) {}

  knows(clusterId: ClusterId): boolean {
    return this.#circles.has(clusterId);
  }

  /** A member wants it, or does not any more; `members` are all that belong to the network now. */
  wish(clusterId: ClusterId, nodeId: NodeId, isWanted: boolean, members: readonly Member[]): void {
    const circle = this.#circles.get(clusterId) ?? newCircle();
    if (isWanted) circle.wanting.add(nodeId);
    else circle.wanting.delete(nodeId);
    for (const id of circle.wanting) if (!members.some(({ node_id }) => node_id === id)) circle.wanting.delete(id);
    if (circle.wanting.size === 0) {
      this.#end(clusterId);
      return;
    }
    this.#circles.set(clusterId, circle);
    circle.members = new Map(members.map(({ slot, node_id }) => [slot, node_id]));
    for (const [slot, stream] of circle.streams) if (!circle.members.has(slot)) stream.destroy();
    for (const slot of circle.members.keys()) void this.#open(clusterId, circle, slot);
  }

  async #open(clusterId: ClusterId, circle: Circle, slot: number): Promise<void> {
    const nodeId = circle.members.get(slot);
    if (nodeId === undefined || circle.streams.has(slot) || circle.opening.has(slot)) return;
    circle.opening.add(slot);
    try {
      const stream = await this.machines.openStream(nodeId, { kind: 'mesh', clusterId });
      if (this.#circles.get(clusterId) === circle) this.#carry(clusterId, circle, slot, stream);
      else stream.destroy();
    } catch (error) {
      const words = error instanceof StreamRefused ? error.message : String(error);
      this.log.info({ clusterId, nodeId, error: words }, 'a member of a network could not be given a stream');
    } finally {
      circle.opening.delete(slot);
      if (!circle.streams.has(slot)) this.#openLater(clusterId, circle, slot);
    }
  }

  /** Its agent may be on its way back, and nobody says so here. */
  #openLater(clusterId: ClusterId, circle: Circle, slot: number): void {
    setTimeout(() => {
      if (this.#circles.get(clusterId) === circle) void this.#open(clusterId, circle, slot);
    }, reopenMs).unref();
  }

  #carry(clusterId: ClusterId, circle: Circle, slot: number, stream: Duplex): void {
    circle.streams.set(slot, stream);
    const unframer = new Unframer((to, datagram) => {
      const other = circle.streams.get(to);
      if (other?.writable && other.writableLength < mostWaitingBytes) other.write(datagramFrame(slot, datagram));
    });
    stream.on('data', (piece: Buffer) => {
      try {
        unframer.push(piece);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      if (circle.streams.get(slot) !== stream) return;
      circle.streams.delete(slot);
      this.#openLater(clusterId, circle, slot);
    });
  }

  #end(clusterId: ClusterId): void {
    for (const stream of this.#circles.get(clusterId)?.streams.values() ?? []) stream.destroy();
    this.#circles.delete(clusterId);
  }

  stop(): void {
    for (const clusterId of [...this.#circles.keys()]) this.#end(clusterId);
  }
}
