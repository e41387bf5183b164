/** One cluster's network on this machine: its interface, its peers, and its ends of the relays. */
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { type MeshNetwork, type MeshReport, meshBlock, mostEndpoints } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import type { Device } from './device.js';
import type { MeshKeys } from './keys.js';
import { keepaliveSeconds } from './paths.js';
import { Peer, type PeerGround } from './peer.js';
import { StreamRelay, UdpRelay } from './relays.js';
import { type DeviceStatus, isGone } from './uapi.js';

/** How often the device is asked what it has heard. Milliseconds. */
const lookEveryMs = 500;
const upTimeoutMs = 10_000;
const upLookMs = 50;
/** A peer that is not heard for so long may need a relay that is not there yet. */
const wantsStreamAfterMs = 3_000;

export class Network {
  readonly #peers = new Map<string, Peer>();
  readonly #ground: PeerGround;
  readonly #stream: StreamRelay;
  #udp: UdpRelay | undefined;
  #observer: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #changing: Promise<void> = Promise.resolve();
  #networkFile = '';
  #listenPort = 0;
  #closed = false;

  constructor(
    public config: MeshNetwork,
    readonly device: Device,
    readonly keys: MeshKeys,
    readonly onNews: () => void,
    readonly log: Logger,
  ) {
    this.#ground = {
      device,
      devicePort: () => this.#listenPort,
      usable: () => ({ 'udp-relay': this.#udp?.usable === true, 'tcp-relay': this.#stream.usable }),
      send: (route, slot, datagram) =>
        route === 'udp-relay' ? this.#udp?.send(slot, datagram) : this.#stream.send(slot, datagram),
      nowMs: () => performance.now(),
    };
    this.#stream = new StreamRelay(
      (slot, datagram) => this.#deliver('tcp-relay', slot, datagram),
      () => this.#relayCame('tcp-relay'),
    );
  }

  /** Makes the interface, or takes over the one that an earlier agent made. */
  async open(networkFile: string): Promise<void> {
    this.#networkFile = networkFile;
    await this.#up();
    await this.change(this.config);
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
  }

  async #up(): Promise<void> {
    await this.device.up({ network: this.#networkFile, block: meshBlock(this.config.slot) });
    await this.device.set({ privateKey: this.keys.privateKey });
    this.#listenPort = await this.#portTaken();
  }

  /** Its process was killed: a new one knows nobody yet, and has another port. */
  async #revive(): Promise<void> {
    this.log.warn(
      { clusterId: this.config.clusterId },
      'the WireGuard interface of a network has gone and is made anew',
    );
    await this.#up();
    for (const peer of this.#peers.values()) await peer.end();
    this.#peers.clear();
    await this.#change(this.config);
  }

  /** The device takes a free port once it has noticed that its interface is up, which it looks for each second. */
  async #portTaken(): Promise<number> {
    for (const deadline = performance.now() + upTimeoutMs; performance.now() < deadline; ) {
      const { listenPort } = await this.device.status();
      if (listenPort !== 0) return listenPort;
      await pause(upLookMs);
    }
    throw new Error(`the WireGuard interface ${this.device.name} did not come up within ${upTimeoutMs / 1_000} s`);
  }

  /** What the control plane knows of it now. One change after the other. */
  change(config: MeshNetwork): Promise<void> {
    this.#changing = this.#changing.catch(() => undefined).then(() => this.#change(config));
    return this.#changing;
  }

  async #change(config: MeshNetwork): Promise<void> {
    if (this.#closed) return;
    this.config = config;
    this.#setUdp();
    await this.#setObserver();
    const named = new Map(config.peers.map(peer => [peer.publicKey, peer]));
    for (const [publicKey, peer] of this.#peers) {
      if (named.get(publicKey)?.slot === peer.known.slot) continue;
      this.#peers.delete(publicKey);
      await peer.end();
    }
    const status = await this.device.status();
    const strangers = [...status.peers.keys()].filter(key => !named.has(key) && key !== this.#observer);
    await this.device.set({ peers: strangers.map(publicKey => ({ publicKey, remove: true })) });
    for (const [publicKey, known] of named) {
      const peer = this.#peers.get(publicKey);
      if (peer) peer.learn(known);
      else await this.#meet(known);
    }
    this.onNews();
  }

  async #meet(known: MeshNetwork['peers'][number]): Promise<void> {
    const peer = new Peer(known, this.#ground);
    this.#peers.set(known.publicKey, peer);
    await peer.begin();
  }

  #setUdp(): void {
    const { helper, relayToken } = this.config;
    if (this.#udp?.endpoint === helper?.relay && this.#udp?.token === relayToken) return;
    this.#udp?.close();
    this.#udp = undefined;
    if (!helper) return;
    this.#udp = new UdpRelay(
      helper.relay,
      relayToken,
      (slot, datagram) => this.#deliver('udp-relay', slot, datagram),
      () => this.#relayCame('udp-relay'),
    );
    this.#udp.open();
  }

  /** Keepalives to the public machine let it see where our packets come from; it may send nothing into the network. */
  async #setObserver(): Promise<void> {
    const { helper } = this.config;
    const observer = helper?.observer;
    this.#observer = observer?.publicKey;
    if (!observer) return;
    const { publicKey, endpoint } = observer;
    const known = (await this.device.status()).peers.get(publicKey);
    if (known?.endpoint === endpoint) return;
    await this.device.set({ peers: [{ publicKey, endpoint, allowedIps: [], keepalive: keepaliveSeconds }] });
  }

  #deliver(route: 'udp-relay' | 'tcp-relay', slot: number, datagram: Buffer): void {
    for (const peer of this.#peers.values()) if (peer.known.slot === slot) peer.deliver(route, datagram);
  }

  #relayCame(route: 'udp-relay' | 'tcp-relay'): void {
    void Promise.all([...this.#peers.values()].map(peer => peer.relayCame(route))).catch(error => this.#fail(error));
  }

  #look(): void {
    this.#looking ??= this.#lookOnce()
      .catch(error => this.#fail(error))
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #lookOnce(): Promise<void> {
    if (this.#peers.size === 0) return;
    const before = this.#said();
    const status = await this.#statusOrRevived();
    if (!status) return;
    await Promise.all([...this.#peers.values()].map(peer => peer.look(status.peers.get(peer.known.publicKey))));
    if (this.#said() !== before) this.onNews();
  }

  async #statusOrRevived(): Promise<DeviceStatus | null> {
    try {
      return await this.device.status();
    } catch (error) {
      if (!isGone(error) || this.#closed) throw error;
      this.#changing = this.#changing.catch(() => undefined).then(() => this.#revive());
      await this.#changing;
      return null;
    }
  }

  #said = () => JSON.stringify(this.report());

  #fail(error: unknown): void {
    if (!this.#closed)
      this.log.warn({ clusterId: this.config.clusterId, error: String(error) }, 'a network is not well');
  }

  report(): MeshReport['networks'][number] {
    const peers = [...this.#peers.values()];
    const nowMs = performance.now();
    return {
      clusterId: this.config.clusterId,
      publicKey: this.keys.publicKey,
      listenPort: this.#listenPort,
      endpoints: ownAddresses().map(address => `${address}:${this.#listenPort}`),
      paths: peers
        .map(peer => ({ slot: peer.known.slot, path: peer.path }))
        .sort((one, other) => one.slot - other.slot),
      wantsStream: peers.some(
        ({ path, startedAtMs }) =>
          path === 'tcp-relay' || (path === 'none' && nowMs - startedAtMs > wantsStreamAfterMs),
      ),
    };
  }

  seen(): MeshReport['seen'] {
    return [...this.#peers.values()].flatMap(({ known, seenAt }) =>
      seenAt === null ? [] : [{ publicKey: known.publicKey, endpoint: seenAt }],
    );
  }

  /** Datagrams by way of the control plane. Resolves when the stream is over. */
  carry(stream: Duplex): Promise<void> {
    return this.#stream.carry(stream);
  }

  /** Lets go of what is this process's; the interface stays, and what goes directly goes on. */
  async leave(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#changing.catch(() => undefined);
    await this.#looking;
    this.#udp?.close();
    this.#stream.close();
    for (const peer of this.#peers.values()) await peer.end();
  }
}

/** IPv4 addresses at which other machines might reach this one: not its own loopback, nor links to its own namespaces. */
function ownAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !/^(io[cw][0-9a-f]{10}|docker|br-|veth|cni|virbr)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address)
    .slice(0, mostEndpoints);
}
