/** The same without SSH: ports over a WebSocket for `iocloud port-forward`, and the terminal of a browser. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ApiKeyId, api, type SshSession } from '@iocloud/contracts';
import { SocketStream } from '@iocloud/contracts/wire';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Entrance } from '../clusters/index.js';
import { StreamRefused } from '../inventory/index.js';
import { type Caller, type Database, Failure, type Http, type Logger } from '../platform/index.js';
import { exitInWords, ShellCarrier } from './carry.js';
import { join } from './gateway.js';
import type { Holder, LiveSessions } from './live-sessions.js';
import type { Entrances, OpenStream } from './ports.js';

interface Wiring {
  config: { publicUrl: string | undefined };
  database: Database;
  sessions: LiveSessions;
  entrances: Entrances;
  openStream: OpenStream;
  log: Logger;
}

const pingIntervalMs = 30_000;
const normalClosure = 1000;
/** Of our own (RFC 6455 §7.4.2): the shell was ended by somebody else than its program. */
const endedClosure = 4000;
/** Of a close frame's reason, in bytes. */
const longestReason = 120;
const notWebSocket = new Failure(
  'bad-request',
  'this is a WebSocket: it needs "Connection: Upgrade" and "Upgrade: websocket"',
);

export class TunnelSockets {
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 2 ** 20 });

  constructor(readonly wiring: Wiring) {}

  bind(http: Http): void {
    http.handle(api.forwardPort, async ({ caller, params }) => {
      await this.#entrance(caller, params.clusterId);
      throw notWebSocket;
    });
    http.handleUpgrade(api.forwardPort, async ({ caller, params, request, socket, head }) => {
      const entrance = await this.#entrance(caller, params.clusterId);
      await this.#forward(holderOf(caller, request, 'api'), entrance, params.port, request, socket, head);
    });
    http.handle(api.terminalSocket, async ({ caller, params }) => {
      await this.#entrance(caller, params.clusterId);
      throw notWebSocket;
    });
    http.handleUpgrade(api.terminalSocket, async ({ caller, params, request, socket, head }) => {
      this.#refuseForeignPage(request);
      const entrance = await this.#entrance(caller, params.clusterId);
      await this.#terminal(holderOf(caller, request, 'browser'), entrance, request, socket, head);
    });
  }

  /** Throws Failure 'not-found' where there is no such cluster, 'unavailable' where it has nothing to get into now. */
  async #entrance(caller: Caller, clusterId: string): Promise<Entrance> {
    const { database, entrances } = this.wiring;
    const found = await entrances.find(database, caller.tenantId, clusterId);
    if (!('refused' in found)) return found;
    const { rowCount } = await database.query('SELECT 1 FROM clusters WHERE tenant_id = $1 AND id = $2', [
      caller.tenantId,
      clusterId,
    ]);
    throw rowCount ? new Failure('unavailable', found.refused) : new Failure('not-found', `no cluster ${clusterId}`);
  }

  /** Browsers name the page that opens a WebSocket; no other than our own may, whatever cookie comes along. */
  #refuseForeignPage({ headers }: IncomingMessage): void {
    const { publicUrl } = this.wiring.config;
    const hosts = [headers.host, publicUrl && new URL(publicUrl).host];
    const { origin } = headers;
    if (origin !== undefined && !(URL.canParse(origin) && hosts.includes(new URL(origin).host))) {
      throw new Failure('permission-denied', 'a page of another site may not open a terminal');
    }
  }

  async #forward(
    holder: Holder,
    entrance: Entrance,
    port: number,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const { sessions, openStream, log } = this.wiring;
    const what = { kind: 'forward', target: `localhost:${port}` } as const;
    let machine: Duplex;
    try {
      const { nodeId, leaseId } = entrance;
      machine = await openStream(nodeId, { kind: 'connect', leaseId, host: 'localhost', port });
    } catch (error) {
      if (!(error instanceof StreamRefused)) throw error;
      await sessions.refused(holder, entrance, what, error.message);
      throw new Failure(error.code === 'bad-request' ? 'bad-request' : 'unavailable', error.message);
    }
    let reason = 'closed';
    const end = (why: string) => {
      reason = why;
      machine.destroy();
    };
    machine.on('error', () => undefined);
    const session = await sessions.open(holder, entrance, what, end).catch(error => {
      machine.destroy();
      throw error;
    });
    this.#server.handleUpgrade(request, socket, head, ws => {
      const ping = setInterval(() => ws.ping(), pingIntervalMs);
      const stream = new SocketStream(ws);
      join(stream, machine, session)
        .catch((error: unknown) => log.debug({ error: String(error) }, 'a forward broke'))
        .finally(() => {
          clearInterval(ping);
          machine.destroy();
          stream.destroy();
          return session.close(reason);
        });
    });
  }

  async #terminal(
    holder: Holder,
    entrance: Entrance,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const { sessions, openStream } = this.wiring;
    const { nodeId, leaseId } = entrance;
    let machine: Duplex | undefined;
    let ended: string | undefined;
    const session = await sessions.open(holder, entrance, { kind: 'shell', target: null }, why => {
      ended = why;
      machine?.destroy();
    });
    try {
      // The page says its size as soon as it is connected.
      const pty = { term: 'xterm-256color', columns: 80, rows: 24 };
      const env = { LANG: 'C.UTF-8', COLORTERM: 'truecolor' };
      machine = await openStream(nodeId, { kind: 'shell', leaseId, what: { type: 'shell' }, pty, env });
    } catch (error) {
      const refused = error instanceof StreamRefused;
      await session.close(refused ? error.message : 'it failed');
      throw refused ? new Failure('unavailable', error.message) : error;
    }
    const opened = machine;
    opened.on('error', () => undefined);
    this.#server.handleUpgrade(request, socket, head, ws => {
      const carrier = new ShellCarrier(opened, session);
      const ping = setInterval(() => ws.ping(), pingIntervalMs);
      let gone = false;
      ws.on('close', () => {
        gone = true;
        opened.destroy();
      });
      ws.on('error', () => ws.terminate());
      const typed = new Typed(ws, carrier);
      const write = async (_output: string, bytes: Buffer) => {
        await typed.room();
        await sent(ws, bytes);
      };
      void carrier.run({ input: typed.chunks(), write }).then(async exit => {
        clearInterval(ping);
        const why = exit ? exitInWords(exit) : gone ? 'closed by the browser' : (ended ?? 'the connection broke off');
        await session.close(why);
        ws.close(exit ? normalClosure : endedClosure, Buffer.from(why).subarray(0, longestReason).toString());
      });
    });
  }

  stop(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}

function holderOf(caller: Caller, request: IncomingMessage, via: SshSession['via']): Holder {
  return {
    tenantId: caller.tenantId,
    userId: caller.userId,
    via,
    sshKey: null,
    apiKeyId: caller.keyId as ApiKeyId,
    address: request.socket.remoteAddress ?? 'unknown',
  };
}

/**
 * What the page types: binary frames. Its text frames say how large its terminal is (`<columns> <rows>`), and `pause` and
 * `resume` that it shows more slowly than the shell writes. Ends with the connection.
 */
class Typed {
  readonly #waiting: Buffer[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #held: { over: Promise<void>; end: () => void } | undefined;

  constructor(
    readonly ws: WebSocket,
    carrier: ShellCarrier,
  ) {
    ws.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) return this.#hear(data.toString(), carrier);
      this.#waiting.push(data);
      ws.pause();
      this.#wake?.();
      return undefined;
    });
    ws.on('close', () => {
      this.#ended = true;
      this.#held?.end();
      this.#wake?.();
    });
  }

  #hear(text: string, carrier: ShellCarrier): void {
    if (text === 'pause' && !this.#held && !this.#ended) {
      let end = (): void => undefined;
      const over = new Promise<void>(resolve => {
        end = resolve;
      });
      this.#held = { over, end };
    } else if (text === 'resume') {
      this.#held?.end();
      this.#held = undefined;
    } else resize(carrier, text);
  }

  /** Resolves when the page takes more, or has gone. */
  async room(): Promise<void> {
    await this.#held?.over;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    for (;;) {
      yield* this.#waiting.splice(0);
      if (this.#ended) return;
      this.ws.resume();
      await new Promise<void>(resolve => {
        this.#wake = resolve;
        if (this.#waiting.length > 0 || this.#ended) resolve();
      });
    }
  }
}

function resize(carrier: ShellCarrier, text: string): void {
  const [columns = 0, rows = 0] = text.split(' ').map(Number);
  const isSide = (side: number) => Number.isInteger(side) && side > 0 && side < 10_000;
  if (isSide(columns) && isSide(rows)) carrier.resize(columns, rows);
}

/** Resolves when the frame has left this process, or cannot any more. */
function sent(ws: WebSocket, bytes: Buffer): Promise<void> {
  return new Promise(resolve => ws.send(bytes, () => resolve()));
}
