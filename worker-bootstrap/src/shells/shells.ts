/**
 * What renters open in their leases. A program of Python enters the lease's namespaces, because Node cannot: one for each
 * shell (python/shell.py), which also keeps its pseudo terminal, and one for all forwards of a lease (python/dial.py).
 * Nothing of it outlives the lease, and nothing is kept of what it carries.
 */
import { spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { StreamRequest } from '@iocloud/contracts';
import type { ProcessIdentity } from '../leases/index.js';
import type { Logger } from '../log.js';
import type { Inside, Sandbox } from '../sandbox/index.js';
import { Dialer, programEnvironment } from './dialer.js';

/** Where a renter may be: a lease that is up. */
export interface Entrance {
  leaseId: string;
  supervisor: ProcessIdentity;
  /** Of its Ray node. */
  env: Record<string, string>;
  /** Its programs have namespaces of their own. */
  sandboxed: boolean;
  /** Where they run in one. */
  container: Inside | null;
}

type ShellRequest = Extract<StreamRequest, { kind: 'shell' }>;
type ConnectRequest = Extract<StreamRequest, { kind: 'connect' | 'connect-socket' }>;

const longestComplaint = 2_000;

export class Shells {
  /** What is open, by lease: each is ended by being destroyed. */
  readonly #open = new Map<string, Set<Duplex>>();
  readonly #dialers = new Map<string, Dialer>();

  constructor(
    readonly sandbox: Sandbox,
    readonly log: Logger,
  ) {}

  /** Carries one shell until it or the stream ends. Rejects where it breaks. */
  async shell(stream: Duplex, request: ShellRequest, entrance: Entrance): Promise<void> {
    const [program = '', ...args] = this.sandbox.toolCommand('shell.py', entrance.container);
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: programEnvironment, cwd: '/' });
    const complaint = heard(child.stderr);
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve());
      child.once('error', error => {
        this.log.warn({ leaseId: entrance.leaseId, error: error.message }, 'a shell could not be started');
        resolve();
      });
    });
    const spec = {
      lease: entrance.sandboxed && !entrance.container ? entrance.supervisor : null,
      what: request.what,
      pty: request.pty,
      env: { ...entrance.env, ...request.env },
    };
    child.stdin.on('error', () => undefined);
    child.stdin.write(`${JSON.stringify(spec)}\n`);
    await this.#whileOpen(entrance.leaseId, stream, async () => {
      // The end of the stream is the end of the program's standard input: that is what hangs it up. No pipeline, which
      // would take the stream down with a program that has ended, before its last words are through.
      stream.pipe(child.stdin);
      child.stdin.on('error', () => stream.resume());
      stream.once('close', () => child.stdin.destroy());
      await pipeline(child.stdout, stream, { end: false });
      await exited;
      stream.end();
    }).finally(() => {
      child.stdin.destroy();
      child.stdout.destroy();
    });
    if (complaint.text) this.log.warn({ leaseId: entrance.leaseId, stderr: complaint.text }, 'a shell complained');
  }

  /** Carries one connection into the lease; its answer comes from python/dial.py. */
  async connect(stream: Duplex, request: ConnectRequest, entrance: Entrance): Promise<void> {
    const { leaseId } = entrance;
    let dialer = this.#dialers.get(leaseId);
    if (!dialer || dialer.ended) {
      const made = new Dialer(this.sandbox, entrance, this.log, () => {
        if (this.#dialers.get(leaseId) === made) this.#dialers.delete(leaseId);
      });
      dialer = made;
      this.#dialers.set(leaseId, made);
    }
    const socket = await dialer.connect();
    await this.#whileOpen(leaseId, stream, async () => {
      socket.on('error', () => stream.destroy());
      socket.write(`${JSON.stringify(request)}\n`);
      await Promise.all([pipeline(stream, socket), pipeline(socket, stream)]);
    }).finally(() => {
      socket.destroy();
      dialer.release();
    });
  }

  async #whileOpen(leaseId: string, stream: Duplex, work: () => Promise<void>): Promise<void> {
    const open = this.#open.get(leaseId) ?? new Set();
    this.#open.set(leaseId, open.add(stream));
    try {
      await work();
    } finally {
      open.delete(stream);
      if (open.size === 0) this.#open.delete(leaseId);
    }
  }

  /** Ends at once what is open in leases that are no longer up. */
  keepOnly(isUp: (leaseId: string) => boolean): void {
    for (const [leaseId, streams] of this.#open) {
      if (!isUp(leaseId)) for (const stream of streams) stream.destroy();
    }
    for (const [leaseId, dialer] of this.#dialers) if (!isUp(leaseId)) dialer.end();
  }
}

/** The last of what a program says on standard error. */
function heard(stream: Readable): { text: string } {
  const complaint = { text: '' };
  stream.on('data', (chunk: Buffer) => {
    complaint.text = (complaint.text + chunk.toString()).slice(-longestComplaint);
  });
  return complaint;
}
