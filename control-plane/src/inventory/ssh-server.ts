/** The SSH server that agents dial. It knows one kind of client: a device that proves its enrolled key. */
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import type { NodeId } from '@iocloud/contracts';
import ssh2, { type AuthContext, type Connection } from 'ssh2';
import type { Logger } from '../platform/index.js';
import { provesKey } from './device-key.js';

interface Options {
  host: string;
  port: number;
  hostKey: Buffer;
  log: Logger;
  /** The key enrolled for a user name, or null. */
  enrolledKey(userName: string): Promise<string | null>;
  /** A connection ends of which no key was the enrolled one. `address`: that it came from. */
  onRefused(userName: string, address: string): void;
  onAgent(nodeId: NodeId, connection: Connection): void;
}

const maxTriesPerConnection = 6;

export class SshServer {
  readonly #net: NetServer;
  readonly #connections = new Set<Connection>();

  constructor(readonly options: Options) {
    const ssh = new ssh2.Server({ hostKeys: [options.hostKey], ident: 'iocloud' }, (connection, { ip }) =>
      this.#accept(connection, ip),
    );
    this.#net = createServer({ noDelay: true, keepAlive: true }, socket => ssh.injectSocket(socket));
  }

  #accept(connection: Connection, address: string): void {
    const { log } = this.options;
    this.#connections.add(connection);
    let userName = '';
    let tries = 0;
    let known = false;
    connection.on('error', (error: Error) => log.debug({ error: error.message }, 'an SSH connection broke'));
    connection.on('close', () => {
      this.#connections.delete(connection);
      if (userName !== '' && !known) this.options.onRefused(userName, address);
    });
    connection.on('authentication', context => {
      tries += 1;
      if (tries > maxTriesPerConnection) return connection.end();
      userName = context.username;
      this.#authenticate(context).catch((error: unknown) => {
        log.warn({ error: String(error) }, 'a device key could not be looked up');
        connection.end();
      });
      return undefined;
    });
    connection.on('ready', () => {
      known = true;
      this.options.onAgent(userName as NodeId, connection);
    });
  }

  async #authenticate(context: AuthContext): Promise<void> {
    if (context.method !== 'publickey') return context.reject(['publickey']);
    const enrolled = await this.options.enrolledKey(context.username);
    return enrolled !== null && provesKey(context, enrolled) ? context.accept() : context.reject(['publickey']);
  }

  /** Listens and returns the port taken. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#net.once('error', reject);
      this.#net.listen(this.options.port, this.options.host, () => {
        this.#net.off('error', reject);
        resolve((this.#net.address() as AddressInfo).port);
      });
    });
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.end();
    await new Promise<void>(resolve => this.#net.close(() => resolve()));
  }
}
