/**
 * The SSH server on whose one port machines and renters come in. A machine logs in by its node's id with its enrolled
 * device key; whoever else proves a key is a renter, whatever name they ask for.
 */
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { type NodeId, nodeId as nodeIdSchema } from '@iocloud/contracts';
import ssh2, { type AuthContext, type ClientInfo, type Connection, type PublicKeyAuthContext } from 'ssh2';
import { type Logger, provesKey } from '../platform/index.js';
import { LoginQueue } from './login-queue.js';
import { logins, loginsWaiting } from './metrics.js';

/** Where renters' connections go. `Renter`: what a proved key says of who comes. */
export interface RenterDoor<Renter = unknown> {
  /** Null for a key that opens nothing. */
  identify(context: PublicKeyAuthContext, address: string): Promise<Renter | null>;
  /** A connection from there has tried keys, and ended without one that opens. */
  failed(address: string, name: string): void;
  serve(connection: Connection, renter: Renter, name: string, from: { address: string; ends: string }): void;
}

interface Options {
  host: string;
  port: number;
  hostKey: Buffer;
  log: Logger;
  /** The key enrolled for a user name, or null. */
  enrolledKey(userName: string): Promise<string | null>;
  /** A connection under a machine's name ends of which no key opened anything. `address`: that it came from. */
  onRefused(userName: string, address: string): void;
  /** `address`: that it comes from. */
  onAgent(nodeId: NodeId, connection: Connection, address: string): void;
  /** Absent: only machines come in. */
  renters?: RenterDoor | undefined;
}

/** As sshd's MaxAuthTries: keys that were refused. */
const maxFailuresPerConnection = 6;
/** As sshd's LoginGraceTime, but shorter: nobody types a password here. Milliseconds. */
const loginTimeMs = 30_000;

/** Of a login a processor has some 3 ms to do: few keep it busy, and a machine waits for few. */
const loginsAtOnce = 32;
const slowLoginMs = 2_000;
const mostWaiting = 20_000;
/** Half of what an agent gives a connection. */
const longestWaitMs = 5_000;

const endOf = ({ ip, port }: Pick<ClientInfo, 'ip' | 'port'>): string => `${ip} ${port}`;
const isNode = (name: string): boolean => nodeIdSchema.safeParse(name).success;

type Peer = { kind: 'agent' } | { kind: 'renter'; renter: unknown };

export class SshServer {
  readonly #net: NetServer;
  readonly #connections = new Set<Connection>();
  readonly #logins = new LoginQueue(loginsAtOnce, slowLoginMs, mostWaiting, longestWaitMs, () => performance.now());
  /** What ends a login's turn, by the far end of its connection. */
  readonly #loginsUnderWay = new Map<string, () => void>();

  constructor(readonly options: Options) {
    const ssh = new ssh2.Server({ hostKeys: [options.hostKey], ident: 'iocloud' }, (connection, info) =>
      this.#accept(connection, info),
    );
    this.#net = createServer({ noDelay: true, keepAlive: true }, socket => {
      // Whoever waits may go; ssh2 hears of it in its turn.
      socket.on('error', error => options.log.debug({ error: error.message }, 'an SSH connection broke'));
      const { remoteAddress: address = 'unknown', remotePort: port = 0 } = socket;
      const login = (over: () => void) => {
        if (socket.destroyed) return over();
        const end = endOf({ ip: address, port });
        this.#loginsUnderWay.set(end, over);
        socket.once('close', () => {
          this.#loginsUnderWay.delete(end);
          over();
        });
        return ssh.injectSocket(socket as Socket);
      };
      this.#logins.enter(address, login, () => void socket.destroy());
      loginsWaiting.set(this.#logins.waiting);
    });
  }

  #accept(connection: Connection, info: ClientInfo): void {
    const { log, renters } = this.options;
    this.#connections.add(connection);
    const address = info.ip ?? 'unknown';
    let name = '';
    let peer: Peer | null = null;
    let failures = 0;
    const late = setTimeout(() => connection.end(), loginTimeMs);
    connection.on('error', (error: Error) => log.debug({ error: error.message }, 'an SSH connection broke'));
    connection.on('close', () => {
      clearTimeout(late);
      this.#connections.delete(connection);
      if (peer) return;
      logins.inc({ peer: isNode(name) ? 'agent' : failures > 0 ? 'renter' : 'unknown', result: 'refused' });
      if (failures > 0) renters?.failed(address, name);
      if (isNode(name)) this.options.onRefused(name, address);
    });
    connection.on('authentication', context => {
      name = context.username;
      this.#peerOf(context, address).then(
        found => {
          if (found) {
            // Only a signature proves a key: what comes before is a question.
            if ((context as PublicKeyAuthContext).signature) peer = found;
            return context.accept();
          }
          if (context.method === 'publickey') failures += 1;
          if (failures > maxFailuresPerConnection) return connection.end();
          return context.reject(['publickey']);
        },
        (error: unknown) => {
          log.warn({ error: String(error) }, 'a key could not be looked up');
          connection.end();
        },
      );
    });
    connection.on('ready', () => {
      clearTimeout(late);
      this.#loginsUnderWay.get(endOf(info))?.();
      logins.inc({ peer: peer?.kind ?? 'unknown', result: peer ? 'accepted' : 'refused' });
      if (peer?.kind === 'agent') this.options.onAgent(name as NodeId, connection, address);
      else if (peer?.kind === 'renter') {
        const { address: here, port } = this.#net.address() as AddressInfo;
        const ends = `${address} ${info.port} ${here} ${port}`;
        renters?.serve(connection, peer.renter, name, { address, ends });
      } else connection.end();
    });
  }

  /** Who may log in by this; null: nobody. */
  async #peerOf(context: AuthContext, address: string): Promise<Peer | null> {
    if (context.method !== 'publickey') return null;
    if (isNode(context.username)) {
      const enrolled = await this.options.enrolledKey(context.username);
      const isDevice = context.key.algo === 'ssh-ed25519' && enrolled !== null && provesKey(context, enrolled);
      if (isDevice) return { kind: 'agent' };
    }
    const renter = await this.options.renters?.identify(context, address);
    return renter ? { kind: 'renter', renter } : null;
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
