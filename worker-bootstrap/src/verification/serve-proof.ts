/** The conversation of a proof, between the control plane and the program that works on the device. */
import type { Duplex } from 'node:stream';
import {
  commitmentText,
  maxLineBytes,
  type ProofAnswer,
  type ProofRequest,
  proofAnswer,
  proofRequest,
} from '@iocloud/contracts';
import { lines } from '@iocloud/contracts/wire';
import type { Logger } from '../log.js';
import { NoProgram, type Program, type ProofPrograms } from './program.js';

interface Wiring {
  programs: ProofPrograms;
  /** With the device key; base64. */
  sign(text: string): string;
  log: Logger;
}

const longestComplaint = 1_000;

/** Serves until the control plane ends the stream, or the program gives up. */
export async function serveProof(stream: Duplex, wiring: Wiring): Promise<void> {
  const say = (answer: ProofAnswer) => stream.write(`${JSON.stringify(answer)}\n`);
  let worker: Worker | undefined;
  stream.once('close', () => worker?.end());
  try {
    // Leaving the loop must not end the other direction: the fault is still to be said.
    for await (const line of lines(stream.iterator({ destroyOnReturn: false }), maxLineBytes)) {
      const request = proofRequest.parse(JSON.parse(line));
      if (request.type === 'ping') {
        say({ type: 'pong', count: request.count });
        continue;
      }
      if (request.type === 'begin') {
        worker?.end();
        worker = new Worker(wiring.programs.start(request.device));
      }
      if (!worker) throw new NoProgram('a proof has to begin with `begin`');
      const answer = await worker.ask(request);
      say(request.type === 'pass' && answer.type === 'root' ? signed(answer, request, wiring) : answer);
      if (answer.type === 'fault') break;
    }
  } catch (error) {
    wiring.log.warn({ error: String(error) }, 'a proof could not be given');
    if (stream.writable) say({ type: 'fault', message: faultOf(error) });
  } finally {
    worker?.end();
    stream.end();
  }
}

const faultOf = (error: unknown): string =>
  (error instanceof NoProgram ? error.message : String(error)).slice(-longestComplaint);

function signed(
  answer: Extract<ProofAnswer, { type: 'root' }>,
  { pass, key }: Extract<ProofRequest, { type: 'pass' }>,
  { sign }: Wiring,
): ProofAnswer {
  return { ...answer, signature: sign(commitmentText(key, pass, answer.root)) };
}

/** A program that is running: one answer for each request. */
class Worker {
  readonly #answers: AsyncGenerator<string>;
  #complaint = '';

  constructor(readonly program: Program) {
    this.#answers = lines(program.stdout, maxLineBytes);
    program.stderr.on('data', (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString()).slice(-longestComplaint);
    });
    // Heard where an answer is missed.
    program.stdin.on('error', (error: Error) => {
      this.#complaint ||= error.message;
    });
    program.on('error', (error: Error) => {
      this.#complaint = error.message;
    });
  }

  async ask(request: ProofRequest): Promise<ProofAnswer> {
    this.program.stdin.write(`${JSON.stringify(request)}\n`);
    const { done, value } = await this.#answers.next();
    if (done) throw new NoProgram(`the program ended: ${this.#complaint.trim() || 'it gave no reason'}`);
    return proofAnswer.parse(JSON.parse(value));
  }

  end(): void {
    this.program.stdin.end();
    this.program.kill('SIGTERM');
  }
}
