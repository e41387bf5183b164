/** What a public machine does for others: its relay, and a WireGuard device that sees where members' packets come from. */
import type { MeshReport, RelayDuty } from '@iocloud/contracts';
import type { Logger } from '../log.js';
import type { Device } from './device.js';
import type { MeshKeys } from './keys.js';
import { RelayServer } from './relay-server.js';
import { isGone } from './uapi.js';

const lookEveryMs = 500;

export class Helper {
  readonly #relay: RelayServer;
  #members: RelayDuty['members'] = [];
  #seen = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(
    readonly port: number,
    readonly device: Device,
    readonly keys: MeshKeys,
    readonly onNews: () => void,
    readonly log: Logger,
  ) {
    this.#relay = new RelayServer(log);
  }

  /** Throws when a port is taken. */
  async open(): Promise<void> {
    await this.#relay.listen(this.port);
    await this.#up();
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
    this.onNews();
  }

  async #up(): Promise<void> {
    await this.device.up(null);
    await this.device.set({ privateKey: this.keys.privateKey, listenPort: this.port + 1 });
  }

  async serve(members: RelayDuty['members']): Promise<void> {
    this.#members = members;
    this.#relay.serve(members);
    const wanted = new Set(members.map(({ publicKey }) => publicKey));
    const here = (await this.device.status()).peers;
    const gone = [...here.keys()].filter(key => !wanted.has(key)).map(publicKey => ({ publicKey, remove: true }));
    const come = [...wanted].filter(key => !here.has(key)).map(publicKey => ({ publicKey, allowedIps: [] }));
    if (gone.length + come.length > 0) await this.device.set({ peers: [...gone, ...come] });
  }

  #look(): void {
    this.#looking ??= this.#lookOnce()
      .catch(error => (isGone(error) ? this.#revive() : Promise.reject(error)))
      .catch(error => this.log.warn({ error: String(error) }, 'the observer does not answer'))
      .finally(() => {
        this.#looking = undefined;
      });
  }

  /** The observer's process was killed. */
  async #revive(): Promise<void> {
    await this.#up();
    await this.serve(this.#members);
  }

  async #lookOnce(): Promise<void> {
    const { peers } = await this.device.status();
    const seen = new Map<string, string>();
    for (const { publicKey, endpoint, handshakeAtMs } of peers.values()) {
      if (endpoint !== null && handshakeAtMs !== null) seen.set(publicKey, endpoint);
    }
    const isNew = seen.size !== this.#seen.size || [...seen].some(([key, at]) => this.#seen.get(key) !== at);
    this.#seen = seen;
    if (isNew) this.onNews();
  }

  seen(): MeshReport['seen'] {
    return [...this.#seen].map(([publicKey, endpoint]) => ({ publicKey, endpoint }));
  }

  async close(keep: boolean): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    this.#relay.close();
    if (!keep) await this.device.down();
  }
}
