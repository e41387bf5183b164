/** The program of a proof on this machine's processors, driven by hand. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { ProofAnswer, ProofRequest, ProofWork } from '@iocloud/contracts';
import { repository } from '../../src/harness/index.js';

type AnswerOf<T extends ProofAnswer['type']> = Extract<ProofAnswer, { type: T }>;

export class Prover {
  readonly #program: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(venv: string, cpus: number) {
    const args = ['-E', '-s', join(repository, 'worker-bootstrap/python/prove.py'), String(cpus)];
    this.#program = spawn(join(venv, 'bin/python'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#reader = createInterface({ input: this.#program.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async ask<T extends ProofAnswer['type']>(request: ProofRequest, wanted: T): Promise<AnswerOf<T>> {
    this.#program.stdin.write(`${JSON.stringify(request)}\n`);
    const { value } = await this.#lines.next();
    const answer = JSON.parse(value) as ProofAnswer;
    if (answer.type !== wanted) throw new Error(`${JSON.stringify(answer)} came where ${wanted} was due`);
    return answer as AnswerOf<T>;
  }

  async begin(work: ProofWork): Promise<void> {
    await this.ask({ type: 'begin', device: { index: null, vendor: 'cpu' }, work }, 'ready');
  }

  /** Pass 0 makes the first layer. */
  async pass(pass: number, key = '01'.repeat(32)): Promise<{ ms: number; root: string }> {
    const startedAt = performance.now();
    const { root } = await this.ask({ type: 'pass', pass, key }, 'root');
    return { ms: performance.now() - startedAt, root };
  }

  async end(): Promise<void> {
    const gone = once(this.#program, 'exit');
    this.#program.stdin.end();
    await gone;
    this.#reader.close();
  }
}
