/** The program that connects inside one lease (python/dial.py): started at the first forward, ended when none has been for a while. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { StreamFault } from '../connection/index.js';
import type { Logger } from '../log.js';
import type { Sandbox } from '../sandbox/index.js';
import type { Entrance } from './shells.js';

const idleMs = 60_000;
/** A container engine looks for its runtime; the programs themselves need nothing. */
export const programEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
/** Each has a socket of its own: one that is ending takes nothing away from its successor. */
let made = 0;

export class Dialer {
  ended = false;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  readonly #path: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ready: Promise<void>;

  constructor(sandbox: Sandbox, entrance: Entrance, log: Logger, onEnd: () => void) {
    made += 1;
    const { container, leaseId } = entrance;
    this.#path = container
      ? join(sandbox.socketDirectory(leaseId), `d${made}.sock`)
      : sandbox.socketPath(`${leaseId}.d${made}`);
    const [program = '', ...args] = sandbox.toolCommand('dial.py', container);
    this.#child = spawn(program, [...args, this.#path], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: programEnvironment,
      cwd: '/',
    });
    let complaint = '';
    this.#child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-2_000);
    });
    this.#child.stdin.on('error', () => undefined);
    const gone = new Promise<never>((_, reject) => {
      const end = (why: string) => {
        this.ended = true;
        clearTimeout(this.#idle);
        onEnd();
        if (complaint) log.warn({ leaseId: entrance.leaseId, stderr: complaint }, 'forwards into a lease broke');
        rm(this.#path, { force: true }).catch((error: unknown) =>
          log.warn({ error: String(error) }, 'a socket is left'),
        );
        reject(new StreamFault('not-ready', `nothing can be reached in the lease: ${why}`));
      };
      this.#child.once('exit', () => end(complaint.trim().split('\n').pop() || 'it has ended'));
      this.#child.once('error', error => end(error.message));
    });
    gone.catch(() => undefined);
    this.#ready = Promise.race([once(this.#child.stdout, 'data').then(() => undefined), gone]);
    this.#ready.catch(() => undefined);
    const spec = container ? { lease: null, user: container.renter } : { lease: entrance.supervisor };
    this.#child.stdin.write(`${JSON.stringify(spec)}\n`);
  }

  /** A connection to the program, which counts as a user until `release`. Throws StreamFault. */
  async connect(): Promise<Socket> {
    this.#users += 1;
    clearTimeout(this.#idle);
    try {
      await this.#ready;
      const socket = connect({ path: this.#path, allowHalfOpen: true });
      await once(socket, 'connect').catch(error => {
        throw new StreamFault('not-ready', `nothing can be reached in the lease: ${String(error)}`);
      });
      return socket;
    } catch (error) {
      this.release();
      throw error;
    }
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0 && !this.ended) this.#idle = setTimeout(() => this.end(), idleMs).unref();
  }

  /** Ends the program and all that it carries. */
  end(): void {
    this.ended = true;
    this.#child.stdin.end();
  }
}
