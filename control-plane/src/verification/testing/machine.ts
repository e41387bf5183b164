/** A machine that proves itself, or cheats, in this process: the protocol and the work are real, time is what the test says. */
import { createHash, randomBytes } from 'node:crypto';
import { Duplex, PassThrough } from 'node:stream';
import {
  commitmentText,
  maxLineBytes,
  type ProofAnswer,
  type ProofRequest,
  type ProofWork,
  proofRequest,
} from '@iocloud/contracts';
import { lines, newSshKeyPair } from '@iocloud/contracts/wire';
import ssh2 from 'ssh2';
import { dot, type Hash, type Opening, type RowAt, wordsOf } from '../../core/verification/index.js';
import { committed, firstLayer, type Layer, nextRows, open, rootHex } from '../../core/verification/testing/prover.js';

export const hash: Hash = bytes => createHash('sha256').update(bytes).digest();
export const smallWork: ProofWork = { rowLength: 16, blocks: 8, passes: 6, products: 2 };

export interface Clock {
  ms: number;
}

/** What a cheat does otherwise than is right; all that is left out is done honestly. */
export interface Cheat {
  /** Instead of the key that was sent. */
  key?(key: string, pass: number): string;
  /** Numbers instead of those just computed. */
  rows?(rows: Int8Array[], pass: number): Int8Array[];
  product?(left: Int8Array, right: Int8Array): number;
  /** Root to commit to instead of that of the rows. */
  root?(root: string, pass: number): string;
  open?(honest: Opening[], asked: readonly RowAt[], layers: readonly [Layer, Layer | undefined]): Opening[];
  /** All of an answer; null: none comes. */
  answer?(honest: ProofAnswer, request: ProofRequest): ProofAnswer | null;
  signature?(honest: string, text: string): string;
}

export interface MachineOptions {
  clock: Clock;
  /** What a pass takes. */
  passMs(pass: number): number;
  /** What the way there and back takes. */
  roundTripMs?: number;
  cheat?: Cheat;
}

export const newDeviceKey = () => {
  const pair = newSshKeyPair();
  const key = ssh2.utils.parseKey(pair.private);
  if (key instanceof Error || Array.isArray(key)) throw new Error('a new key cannot be read');
  return { public: pair.public, sign: (text: string) => (key.sign(Buffer.from(text)) as Buffer).toString('base64') };
};

export class ProvingMachine {
  work: ProofWork | undefined;
  readonly answers: ProofAnswer[] = [];

  constructor(
    readonly key: ReturnType<typeof newDeviceKey>,
    readonly options: MachineOptions,
  ) {}

  /** A connection to it. */
  stream(): Duplex {
    const [to, from] = [new PassThrough(), new PassThrough()];
    const stream = Duplex.from({ readable: from, writable: to });
    for (const way of [to, from, stream]) way.on('error', () => undefined);
    // It ends when the control plane does.
    this.#serve(to, from).catch(() => from.destroy());
    return stream;
  }

  async #serve(to: PassThrough, from: PassThrough): Promise<void> {
    const { cheat = {}, clock, passMs, roundTripMs = 1 } = this.options;
    let layers: [Layer, Layer | undefined] | undefined;
    for await (const line of lines(to, maxLineBytes)) {
      const request = proofRequest.parse(JSON.parse(line));
      clock.ms += roundTripMs;
      let answer: ProofAnswer | null;
      switch (request.type) {
        case 'ping':
          answer = { type: 'pong', count: request.count };
          break;
        case 'begin':
          this.work = request.work;
          answer = { type: 'ready' };
          break;
        case 'pass': {
          clock.ms += passMs(request.pass);
          layers = [this.#layer(request, layers?.[0]), layers?.[0]];
          const root = cheat.root?.(rootHex(layers[0]), request.pass) ?? rootHex(layers[0]);
          const text = commitmentText(request.key, request.pass, root);
          const own = this.key.sign(text);
          answer = { type: 'root', pass: request.pass, root, signature: cheat.signature?.(own, text) ?? own };
          break;
        }
        case 'open': {
          if (!layers) throw new Error('there is nothing to open');
          const honest = open(layers, request.rows);
          const shown = cheat.open?.(honest, request.rows, layers) ?? honest;
          const base64 = (bytes: Int8Array | Uint8Array) =>
            Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
          answer = {
            type: 'opened',
            openings: shown.map(({ row, path }) => ({ row: base64(row), path: base64(path) })),
          };
        }
      }
      const sent = cheat.answer ? cheat.answer(answer, request) : answer;
      if (sent === null) continue;
      this.answers.push(sent);
      from.write(`${JSON.stringify(sent)}\n`);
    }
    from.end();
  }

  #layer({ key, pass }: Extract<ProofRequest, { type: 'pass' }>, before: Layer | undefined): Layer {
    const { cheat = {} } = this.options;
    if (!this.work) throw new Error('nothing has begun');
    const words = wordsOf(cheat.key?.(key, pass) ?? key);
    const honest = before
      ? nextRows(this.work, words, before.rows, cheat.product ?? dot)
      : firstLayer(hash, this.work, words).rows;
    return committed(hash, cheat.rows?.(honest, pass) ?? honest);
  }
}

export const randomHex = () => randomBytes(32).toString('hex');
