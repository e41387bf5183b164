/**
 * One challenge, as a conversation with a machine's agent (contracts/src/proof-protocol.ts). The control plane holds the
 * clock and tells each key only when the layer before is committed to.
 */
import type { Duplex } from 'node:stream';
import {
  commitmentText,
  maxLineBytes,
  type ProofAnswer,
  type ProofRequest,
  proofAnswer,
  type VerificationPass,
} from '@iocloud/contracts';
import { lines } from '@iocloud/contracts/wire';
import {
  type Broken,
  type ChallengeContext,
  checkPass,
  drawSpots,
  type Expectation,
  type Fault,
  type Hash,
  networkAllowance,
  passKey,
  rowsToOpen,
  type Subject,
  spotsPerPass,
  type Transcript,
  wordsOf,
} from '../core/verification/index.js';

/** With a program that starts slowly, and memory that has to be made room for. */
const beginLimitMs = 60_000;
const pingLimitMs = 5_000;
const pings = 5;
/** The first layer is not timed, but has its limit, as have rows that are to be shown. */
const untimedLimitMs = 30_000;
/** One that is too slow is told apart from one that is silent. */
const silentAfter = 4;

/** The conversation cannot go on: it is part of the transcript. */
class Break extends Error {
  constructor(
    readonly how: Broken['how'],
    message: string,
  ) {
    super(message);
  }
}

/** The device is wanted for a renter: nothing of the challenge counts. */
export class Yielded extends Error {}

export interface Session {
  stream: Duplex;
  context: ChallengeContext;
  subject: Subject;
  expectation: Expectation;
  hash: Hash;
  /** True for a signature of the enrolled device key. */
  isSigned(text: string, signature: string): boolean;
  /** From 0 to below its argument, unpredictable. */
  uniform(below: number): number;
  clockMs(): number;
  /** Resolves when the supplier's other devices are as far, too. */
  together(): Promise<void>;
  /** Awaited at each step, outside of what is timed. Throws Yielded to give the device back. */
  onStep(step: 'commit' | 'open'): Promise<void>;
}

/** Takes the stream over and ends it. Rejects only with what `onStep` throws. */
export async function converse(session: Session): Promise<Transcript> {
  const passes: VerificationPass[] = [];
  try {
    await conduct(session, passes);
    return { passes, broken: null };
  } catch (error) {
    if (error instanceof Break) return { passes, broken: { how: error.how, message: error.message } };
    throw error;
  } finally {
    session.stream.destroy();
  }
}

async function conduct(session: Session, passes: VerificationPass[]): Promise<void> {
  const { context, subject, expectation, hash, clockMs } = session;
  const { work } = context;
  const peer = new Peer(session.stream);
  let roundTripMs = Number.POSITIVE_INFINITY;
  for (let count = 0; count < pings; count += 1) {
    const sentAt = clockMs();
    await peer.ask({ type: 'ping', count }, 'pong', pingLimitMs);
    roundTripMs = Math.min(roundTripMs, clockMs() - sentAt);
  }
  await peer.ask(
    { type: 'begin', device: { index: subject.index, vendor: subject.vendor }, work },
    'ready',
    beginLimitMs,
  );
  const networkMs = networkAllowance(roundTripMs, expectation.slowestMs);
  let rootBefore = '';
  for (let pass = 0; pass <= work.passes; pass += 1) {
    const key = passKey(hash, context, pass, rootBefore);
    const limitMs = pass === 0 ? untimedLimitMs : expectation.slowestMs * silentAfter + roundTripMs;
    await session.together();
    const sentAt = clockMs();
    const answer = await peer.ask({ type: 'pass', pass, key }, 'root', limitMs);
    const elapsedMs = clockMs() - sentAt;
    const { root } = answer;
    if (answer.pass !== pass) throw new Break('protocol', `the root of pass ${answer.pass} came where ${pass} was due`);
    if (answer.signature === undefined || !session.isSigned(commitmentText(key, pass, root), answer.signature)) {
      throw new Break('signature', `the root of pass ${pass} is not signed by the enrolled device key`);
    }
    passes.push({ pass, elapsedMs: rounded(elapsedMs), networkMs: rounded(networkMs) });
    await session.onStep('commit');
    const spots = drawSpots(work, spotsPerPass, session.uniform);
    const words = wordsOf(key);
    const rows = rowsToOpen(work, pass, words, spots);
    const { openings } = await peer.ask({ type: 'open', rows }, 'opened', untimedLimitMs);
    const shown = openings.map(({ row, path }) => {
      const bytes = Buffer.from(row, 'base64');
      return { row: new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), path: Buffer.from(path, 'base64') };
    });
    const fault = checkPass(hash, work, pass, words, [root, rootBefore], spots, shown);
    if (fault !== null) throw new Break(fault, `${faultInWords[fault]}, in pass ${pass}`);
    await session.onStep('open');
    rootBefore = root;
  }
}

const rounded = (ms: number) => Math.round(ms * 10) / 10;

const faultInWords: Record<Fault, string> = {
  'openings-missing': 'rows that were asked for were not shown',
  'not-committed': 'a row was shown that is not what was committed to',
  'wrong-numbers': 'a number that was drawn is not what the work comes to',
};

type AnswerOf<T extends ProofAnswer['type']> = Extract<ProofAnswer, { type: T }>;

class Peer {
  readonly #lines: AsyncGenerator<string>;

  constructor(readonly stream: Duplex) {
    this.#lines = lines(stream, maxLineBytes);
  }

  /** Throws Break. */
  async ask<T extends ProofAnswer['type']>(request: ProofRequest, wanted: T, limitMs: number): Promise<AnswerOf<T>> {
    let silent = false;
    const limit = setTimeout(() => {
      silent = true;
      this.stream.destroy();
    }, limitMs);
    let line: string | undefined;
    try {
      this.stream.write(`${JSON.stringify(request)}\n`);
      line = (await this.#lines.next()).value;
    } catch (error) {
      if (error instanceof RangeError) throw new Break('protocol', error.message);
      line = undefined;
    } finally {
      clearTimeout(limit);
    }
    if (silent) throw new Break('silent', `no answer to \`${request.type}\` within ${Math.round(limitMs)} ms`);
    if (line === undefined) throw new Break('cut', `the connection ended before the answer to \`${request.type}\``);
    const answer = parsed(line);
    if (answer === null) throw new Break('protocol', `what came for \`${request.type}\` is no answer`);
    if (answer.type === 'fault') throw new Break('fault', `the machine says: ${answer.message}`);
    if (answer.type !== wanted) throw new Break('protocol', `\`${answer.type}\` came where \`${wanted}\` was due`);
    return answer as AnswerOf<T>;
  }
}

function parsed(line: string): ProofAnswer | null {
  try {
    const result = proofAnswer.safeParse(JSON.parse(line));
    return result.success ? result.data : null;
  } catch {
    // Not JSON: the machine's fault, and told as such.
    return null;
  }
}
