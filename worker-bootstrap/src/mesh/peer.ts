/** One peer of a network: what is known of it, and the way that what is for it takes. */
import { setTimeout as pause } from 'node:timers/promises';
import { type MeshPath, type MeshPeer, meshBlock } from '@iocloud/contracts';
import type { Device } from './device.js';
import {
  type Act,
  type Evidence,
  firstPath,
  keepaliveSeconds,
  nextStep,
  type PathState,
  type Route,
  withNews,
  works,
} from './paths.js';
import { Stand } from './relays.js';
import type { PeerStatus } from './uapi.js';

type Relayed = Exclude<Route, 'direct'>;

export interface PeerGround {
  device: Pick<Device, 'set' | 'status'>;
  devicePort(): number;
  usable(): Evidence['usable'];
  send(route: Relayed, slot: number, datagram: Buffer): void;
  nowMs(): number;
}

/** Between two packets of one look for a better path, and from the last to the verdict. Milliseconds. */
const betweenProbesMs = 50;
const verdictMs = 400;

export class Peer {
  readonly #stands = new Map<Relayed, Promise<Stand>>();
  readonly #relayedAt = new Map<string, Relayed>();
  #path: PathState;
  #heardAtMs: number | null = null;
  #receivedBytes = 0;
  #seen: Route;
  #endpoint: string | null = null;
  #acting = false;
  readonly startedAtMs: number;

  constructor(
    public known: MeshPeer,
    readonly ground: PeerGround,
  ) {
    this.startedAtMs = ground.nowMs();
    this.#path = firstPath(this.startedAtMs, ground.usable());
    this.#seen = this.#path.route;
  }

  /** Makes it known to the device, with where it is tried first. */
  async begin(): Promise<void> {
    const { route, candidate } = this.#path;
    await this.#use({ kind: 'use', route, candidate, fresh: true });
  }

  /** What the control plane knows of it now. */
  learn(known: MeshPeer): void {
    const isNew = known.endpoints.some(endpoint => !this.known.endpoints.includes(endpoint));
    this.known = known;
    if (!isNew) return;
    // The next direct try is the likeliest one.
    const candidate = Math.max(0, known.endpoints.length - 1);
    this.#path = withNews(
      this.#path.route === 'direct' ? { ...this.#path, candidate } : this.#path,
      this.ground.nowMs(),
    );
  }

  /** A relay has begun to answer: what is not heard yet is tried that way. */
  async relayCame(route: Relayed): Promise<void> {
    const nowMs = this.ground.nowMs();
    if (this.#acting || works({ nowMs, heardAtMs: this.#heardAtMs })) return;
    this.#path = { ...firstPath(nowMs, this.ground.usable()), route };
    await this.#exclusively(() => this.#use({ kind: 'use', route, candidate: 0, fresh: this.#heardAtMs === null }));
  }

  /** What the device says of it, and what follows. */
  async look(status: PeerStatus | undefined): Promise<void> {
    if (this.#acting || !status) return;
    this.#see(status);
    const evidence: Evidence = {
      nowMs: this.ground.nowMs(),
      heardAtMs: this.#heardAtMs,
      seen: this.#seen,
      candidates: this.known.endpoints.length,
      usable: this.ground.usable(),
    };
    const { state, act } = nextStep(this.#path, evidence);
    this.#path = state;
    if (act) await this.#exclusively(() => this.#act(act));
  }

  #see({ receivedBytes, endpoint }: PeerStatus): void {
    if (receivedBytes > this.#receivedBytes) this.#heardAtMs = this.ground.nowMs();
    this.#receivedBytes = receivedBytes;
    this.#endpoint = endpoint;
    if (endpoint !== null) this.#seen = this.#relayedAt.get(endpoint) ?? 'direct';
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    this.#acting = true;
    try {
      await work();
    } finally {
      this.#acting = false;
    }
  }

  #act(act: NonNullable<Act>): Promise<void> {
    return act.kind === 'use' ? this.#use(act) : this.#probe(act.routes);
  }

  async #use({ route, candidate, fresh }: Extract<Act, { kind: 'use' }>): Promise<void> {
    const { publicKey, slot, endpoints } = this.known;
    const endpoint = route === 'direct' ? endpoints[candidate % Math.max(1, endpoints.length)] : await this.#at(route);
    await this.ground.device.set({
      peers: [
        {
          publicKey,
          ...(endpoint === undefined ? {} : { endpoint }),
          allowedIps: [meshBlock(slot)],
          keepalive: keepaliveSeconds,
          fresh,
        },
      ],
    });
    if (fresh) this.#receivedBytes = 0;
  }

  /** One packet each way. An answer makes the device stay there; without one it goes back to where it was. */
  async #probe(routes: readonly Route[]): Promise<void> {
    const { device } = this.ground;
    const { publicKey } = this.known;
    const before = this.#endpoint;
    for (const endpoint of await this.#endpointsOf(routes)) {
      await device.set({ peers: [{ publicKey, endpoint, keepalive: keepaliveSeconds }] });
      // What came meanwhile by the old way must not pass for an answer.
      const now = (await device.status()).peers.get(publicKey);
      if (now) this.#receivedBytes = Math.max(this.#receivedBytes, now.receivedBytes);
      await pause(betweenProbesMs);
    }
    await pause(verdictMs);
    const after = (await device.status()).peers.get(publicKey);
    if (!after) return;
    const hasHeard = after.receivedBytes > this.#receivedBytes;
    if (hasHeard || before === null) return this.#see(after);
    await device.set({ peers: [{ publicKey, endpoint: before }] });
  }

  async #endpointsOf(routes: readonly Route[]): Promise<string[]> {
    const found = await Promise.all(
      routes.map(route => (route === 'direct' ? this.known.endpoints : this.#at(route).then(endpoint => [endpoint]))),
    );
    return found.flat();
  }

  async #at(route: Relayed): Promise<string> {
    return (await this.#stand(route)).endpoint;
  }

  #stand(route: Relayed): Promise<Stand> {
    let stand = this.#stands.get(route);
    if (!stand) {
      const { devicePort, send } = this.ground;
      stand = Stand.open(devicePort, datagram => send(route, this.known.slot, datagram)).then(opened => {
        this.#relayedAt.set(opened.endpoint, route);
        return opened;
      });
      this.#stands.set(route, stand);
    }
    return stand;
  }

  /** A relay has brought a datagram from it. */
  deliver(route: Relayed, datagram: Buffer): void {
    void this.#stand(route).then(stand => stand.deliver(datagram));
  }

  get path(): MeshPath {
    return works({ nowMs: this.ground.nowMs(), heardAtMs: this.#heardAtMs }) ? this.#seen : 'none';
  }

  /** Where its packets come from, where none of our relays lies between. */
  get seenAt(): string | null {
    return this.path === 'direct' ? this.#endpoint : null;
  }

  async end(): Promise<void> {
    for (const stand of this.#stands.values()) (await stand).close();
  }
}
