/** One SSH connection to the control plane: its control channel and the streams that come over it. */
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentSubsystem,
  type ControlMessage,
  controlMessage,
  maxLineBytes,
  streamForwardPath,
} from '@iocloud/contracts';
import { ChannelStream, lines } from '@iocloud/contracts/wire';
import ssh2, { type CipherAlgorithm, type ClientChannel } from 'ssh2';
import type { Logger } from '../log.js';

export interface Address {
  host: string;
  port: number;
  /** One OpenSSH line: the only host key that is accepted. */
  hostKey: string;
}

export interface ConnectionEvents {
  onMessage(message: ControlMessage): void;
  onStream(stream: Duplex): void;
}

/** What becomes of a connection must be known, and another one be made, before the fence (contracts/src/fencing.ts). */
const readyTimeoutMs = 10_000;
/**
 * Each heartbeat is answered, once a second: a control plane that has said nothing for so long does not hear us either.
 * SSH's own questions would ask the same once more, of every agent.
 */
const silentAfterMs = 6_000;
const silenceLookMs = 1_000;
/** Processors have instructions for AES: tunnels through ChaCha20 carry a quarter less. */
const fastCiphers: CipherAlgorithm[] = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
];

export class Connection {
  readonly #client = new ssh2.Client();
  #control: ClientChannel | undefined;
  #heardAtMs = 0;
  #reason = 'closed by the control plane';
  /** Why it has ended. */
  readonly closed: Promise<string>;

  private constructor(readonly log: Logger) {
    // `on`, not `once`: a peer that speaks no SSH makes ssh2 emit two errors, and a second unheard one would end us.
    this.#client.on('error', error => {
      this.#reason = error.message;
    });
    this.closed = new Promise(resolve => this.#client.on('close', () => resolve(this.#reason)));
  }

  /** Resolves when the control channel is open and streams can come. Rejects with the reason in words. */
  static async open(
    address: Address,
    user: string,
    privateKey: Buffer,
    events: ConnectionEvents,
    log: Logger,
  ): Promise<Connection> {
    const connection = new Connection(log);
    try {
      await connection.#dial(address, user, privateKey);
      await connection.#openControl(events);
      await connection.#acceptStreams(events);
      return connection;
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  #dial(address: Address, user: string, privateKey: Buffer): Promise<void> {
    const pinned = address.hostKey.split(' ')[1] ?? '';
    return new Promise((resolve, reject) => {
      let wrongKey = false;
      this.#client.on('ready', () => resolve());
      this.#client.on('error', error =>
        reject(wrongKey ? new Error('the server has another host key than the pinned one; not talking to it') : error),
      );
      this.#client.on('close', () => reject(new Error('the connection was closed before it was ready')));
      this.#client.connect({
        host: address.host,
        port: address.port,
        username: user,
        privateKey,
        readyTimeout: readyTimeoutMs,
        // Streams come as OpenSSH's stream-local forwards, which ssh2 would only ask of a server that calls itself OpenSSH.
        strictVendor: false,
        algorithms: { serverHostKey: ['ssh-ed25519'], cipher: fastCiphers },
        hostVerifier: (key: Buffer) => {
          wrongKey = key.toString('base64') !== pinned;
          return !wrongKey;
        },
      });
      // A stream's first line waits for its answer: held back by Nagle's algorithm, each would cost 40 ms.
      this.#client.setNoDelay(true);
    });
  }

  async #openControl(events: ConnectionEvents): Promise<void> {
    const channel = await new Promise<ClientChannel>((resolve, reject) =>
      this.#client.subsys(agentSubsystem, (error, opened) => (error ? reject(error) : resolve(opened))),
    );
    channel.on('error', (error: Error) => this.log.debug({ error: error.message }, 'the control channel broke'));
    this.#control = channel;
    this.#heardAtMs = performance.now();
    const look = setInterval(() => {
      if (performance.now() - this.#heardAtMs < silentAfterMs) return;
      this.#reason = `the control plane has said nothing for ${silentAfterMs / 1_000} s`;
      this.end();
    }, silenceLookMs);
    void this.closed.then(() => clearInterval(look));
    void this.#read(channel, events);
  }

  async #read(channel: ClientChannel, events: ConnectionEvents): Promise<void> {
    try {
      for await (const line of lines(channel, maxLineBytes)) {
        this.#heardAtMs = performance.now();
        events.onMessage(controlMessage.parse(JSON.parse(line)));
      }
    } catch (error) {
      // The control plane speaks another protocol than we do: say it anew on a fresh connection.
      this.log.error({ error: String(error) }, 'a message from the control plane makes no sense; connecting anew');
    } finally {
      this.end();
    }
  }

  #acceptStreams(events: ConnectionEvents): Promise<void> {
    this.#client.on('unix connection', (info, accept, reject) => {
      if (info.socketPath !== streamForwardPath) return reject();
      const stream = new ChannelStream(accept());
      stream.on('error', (error: Error) => this.log.debug({ error: error.message }, 'a stream broke'));
      events.onStream(stream);
    });
    return new Promise((resolve, reject) =>
      this.#client.openssh_forwardInStreamLocal(streamForwardPath, error => (error ? reject(error) : resolve())),
    );
  }

  send(message: AgentMessage): void {
    if (this.#control?.writable) this.#control.write(`${JSON.stringify(message)}\n`);
  }

  end(): void {
    this.#client.end();
    this.#client.destroy();
  }
}
