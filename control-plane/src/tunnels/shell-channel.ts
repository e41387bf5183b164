/** Session channels of a renter's connection: shell, command, SFTP; with or without a terminal. */
import type { StreamRequest } from '@iocloud/contracts';
import { ChannelStream } from '@iocloud/contracts/wire';
import type { ServerChannel, Session } from 'ssh2';
import { StreamRefused } from '../inventory/index.js';
import { type Exit, exitInWords, ShellCarrier } from './carry.js';
import { endGraceMs, type Gateway, type Visit } from './gateway.js';
import type { LiveSession } from './live-sessions.js';

type ShellRequest = Extract<StreamRequest, { kind: 'shell' }>;

/** As Debian's sshd lets clients set, and the colours of their terminal. */
const acceptedEnv = /^(LANG|LC_[A-Z_]+|COLORTERM)$/;
const mostEnv = 32;
/** What `ssh` says for an error of its own. */
const brokenExit = 255;

export function serveShells(gateway: Gateway, visit: Visit): void {
  visit.connection.on('session', (accept, reject) => {
    if (!gateway.enter(visit)) return reject();
    new ShellChannel(gateway, visit, accept());
    return undefined;
  });
}

class ShellChannel {
  #pty: ShellRequest['pty'] = null;
  readonly #env: Record<string, string>;
  #carrier: ShellCarrier | undefined;
  #closed = false;
  /** Said by whoever ends it before the program does. */
  #ended: string | undefined;

  constructor(
    readonly gateway: Gateway,
    readonly visit: Visit,
    session: Session,
  ) {
    this.#env = { SSH_CONNECTION: visit.ends };
    session.on('pty', (accept, _reject, info) => {
      const term = (info as unknown as { term?: string }).term ?? '';
      this.#pty = { term: /^[\w.+-]{0,64}$/.test(term) ? term : 'dumb', ...sides(info) };
      accept?.();
    });
    session.on('window-change', (accept, _reject, info) => {
      const { columns, rows } = sides(info);
      if (this.#pty) Object.assign(this.#pty, { columns, rows });
      this.#carrier?.resize(columns, rows);
      accept?.();
    });
    session.on('env', (accept, reject, { key, val }) => {
      if (!acceptedEnv.test(key) || val.length > 1024 || Object.keys(this.#env).length > mostEnv) return reject?.();
      this.#env[key] = val;
      accept?.();
      return undefined;
    });
    session.on('signal', (accept, _reject, { name }) => {
      this.#carrier?.signal(name);
      accept?.();
    });
    session.on('auth-agent', (_accept, reject) => reject?.());
    session.on('x11', (_accept, reject) => reject?.());
    // Accepted at once: what comes before would be lost, and why it is refused can be said only on a channel.
    session.on('shell', accept => void this.#run(accept(), { type: 'shell' }));
    session.on('exec', (accept, _reject, { command }) => void this.#run(accept(), { type: 'exec', command }));
    session.on('subsystem', (accept, reject, { name }) => {
      if (name !== 'sftp') return reject();
      void this.#run(accept(), { type: 'sftp' });
      return undefined;
    });
    session.on('close', this.#close);
    visit.connection.on('close', this.#close);
  }

  readonly #close = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.visit.connection.off('close', this.#close);
    this.#carrier?.machine.destroy();
    this.gateway.leave(this.visit);
  };

  async #run(channel: ServerChannel, what: ShellRequest['what']): Promise<void> {
    const { sessions, openStream, log } = this.gateway.wiring;
    const record = { kind: what.type, target: null };
    const stream = new ChannelStream(channel);
    stream.on('error', () => undefined);
    let session: LiveSession | undefined;
    try {
      const admission = await this.gateway.admit(this.visit);
      if ('refused' in admission) {
        await sessions.refused(this.visit.holder, null, record, admission.refused);
        return this.#finish(channel, stream, null, admission.refused);
      }
      const { entrance } = admission;
      const { nodeId, leaseId } = entrance;
      session = await sessions.open(this.visit.holder, entrance, record, reason => {
        this.#ended = reason;
        this.#carrier?.machine.destroy();
      });
      const machine = await openStream(nodeId, { kind: 'shell', leaseId, what, pty: this.#pty, env: this.#env });
      machine.on('error', () => undefined);
      const carrier = new ShellCarrier(machine, session);
      this.#carrier = carrier;
      if (this.#closed || this.#ended !== undefined) machine.destroy();
      const exit = await carrier.run({
        // Its end is that of one direction only.
        input: stream.iterator({ destroyOnReturn: false }),
        write: (output, bytes) => (output === 'stdout' ? written(stream, bytes) : this.#complain(channel, bytes)),
      });
      const why = exit || this.#closed ? null : (this.#ended ?? (await this.#whyBroken(session)));
      await session.close(exit ? exitInWords(exit) : (why ?? 'closed by the client'));
      this.#finish(channel, stream, exit, why);
    } catch (error) {
      const refused = error instanceof StreamRefused;
      if (!refused) log.warn({ err: error }, 'a session failed');
      const why = refused ? error.message : 'the control plane failed to open it; try again';
      await session?.close(why);
      this.#finish(channel, stream, null, why);
    }
  }

  async #whyBroken({ holder, entrance }: LiveSession): Promise<string> {
    const why = await this.gateway.wiring.sessions.whyNot(holder, entrance).catch(() => null);
    return why ?? 'the connection to the machine broke off; what runs on the cluster goes on';
  }

  /** Ends the channel as its program has, or says why it ended. */
  #finish(channel: ServerChannel, stream: ChannelStream, exit: Exit | null, why: string | null): void {
    if (why !== null) void this.#complain(channel, Buffer.from(`iocloud: ${why}${this.#pty ? '\r\n' : '\n'}`));
    if (exit && 'signal' in exit) channel.exit(exit.signal, false, '');
    else channel.exit(exit ? exit.code : brokenExit);
    stream.end();
    // A client that takes in nothing any more is not waited for.
    setTimeout(() => stream.destroy(), exit ? drainMs : endGraceMs).unref();
    this.#close();
  }

  /** ssh2 never calls back for what it cannot send any more. */
  #complain(channel: ServerChannel, bytes: Buffer): Promise<void> {
    return new Promise(resolve => {
      channel.once('close', resolve);
      channel.stderr.write(bytes, () => {
        channel.off('close', resolve);
        resolve();
      });
    });
  }
}

/** A client may take long for the last of what a program wrote. */
const drainMs = 10 * 60_000;

function sides(info: object): { columns: number; rows: number } {
  const { cols = 0, rows = 0 } = info as { cols?: number; rows?: number };
  return { columns: Math.min(cols, 0xffff), rows: Math.min(rows, 0xffff) };
}

/** Resolves when there is room for more, or nobody takes it any more. */
function written(stream: ChannelStream, bytes: Buffer): Promise<void> {
  return new Promise(resolve => stream.write(bytes, () => resolve()));
}
