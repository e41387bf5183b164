import { Duplex, PassThrough } from 'node:stream';
import type { ProofRequest } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { signatureCheck } from './device-signature.js';
import { converse, Yielded } from './session.js';
import { challenged, contextFor, expectation, subject } from './testing/challenge.js';
import { type Cheat, hash, newDeviceKey, ProvingMachine } from './testing/machine.js';

const key = newDeviceKey();

test('a device that does the work in time passes, by the clock of the control plane and less the way there and back', async () => {
  const clock = { ms: 0 };
  const machine = new ProvingMachine(key, { clock, passMs: pass => 1_000 + pass, roundTripMs: 40 });
  const { judgement, transcript } = await challenged(machine.stream(), key.public, clock);
  expect(judgement).toMatchObject({ passed: true, again: false });
  expect(judgement.checks.map(({ name, passed }) => [name, passed])).toEqual([
    ['answered', true],
    ['signed', true],
    ['kept-to-commitment', true],
    ['computed-right', true],
    ['in-time', true],
  ]);
  expect(transcript.passes).toHaveLength(7);
  expect(transcript.passes[3]).toEqual({ pass: 3, elapsedMs: 1_043, networkMs: 40 });
});

describe('time', () => {
  const withSlowPasses = async (slow: number, roundTripMs = 1) => {
    const clock = { ms: 0 };
    const passMs = (pass: number) => (pass <= slow && pass > 0 ? 1_500 : 1_000);
    const machine = new ProvingMachine(key, { clock, passMs, roundTripMs });
    return challenged(machine.stream(), key.public, clock);
  };

  test('two passes of six may be disturbed, a third may not', async () => {
    expect((await withSlowPasses(2)).judgement.passed).toBe(true);
    const { judgement } = await withSlowPasses(3);
    expect(judgement).toMatchObject({ passed: false, again: true });
    expect(judgement.checks.at(-1)).toMatchObject({ name: 'in-time', passed: false });
    expect(judgement.checks.at(-1)?.found).toContain('3 of 6 passes took no longer than 1300 ms');
  });

  test('a machine that makes its round trips long gains a tenth, and no more', async () => {
    const { transcript } = await withSlowPasses(0, 5_000);
    expect(transcript.passes[1]?.networkMs).toBe(130);
  });
});

describe('what comes is not trusted', () => {
  const answering = (text: string) => {
    const [to, from] = [new PassThrough(), new PassThrough()];
    to.once('data', () => from.write(text));
    return Duplex.from({ readable: from, writable: to }).on('error', () => undefined);
  };

  test.each([
    ['no JSON', 'garbage\n', 'protocol'],
    ['another answer than was due', '{"type":"ready"}\n', 'protocol'],
    ['no answer of the protocol', '{"type":"root","pass":1,"root":"x"}\n', 'protocol'],
    ['a line without end', 'x'.repeat(5 * 2 ** 20), 'protocol'],
    ['a fault', '{"type":"fault","message":"out of memory"}\n', 'fault'],
  ])('%s', async (_name, text, how) => {
    const { transcript } = await challenged(answering(text), key.public, { ms: 0 });
    expect(transcript.broken?.how).toBe(how);
  });

  test('whatever bytes come, there is a verdict, and it is not that it passed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async bytes => {
        const { judgement } = await challenged(answering(`${Buffer.from(bytes).toString('latin1')}\n`), key.public, {
          ms: 0,
        });
        expect(judgement.passed).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  test('a connection that ends is no lie: the device gets another try', async () => {
    const clock = { ms: 0 };
    const cut = (request: ProofRequest) => {
      if (request.type === 'pass' && request.pass === 2) stream.destroy();
    };
    const cheat: Cheat = {
      answer: (honest, request) => {
        cut(request);
        return honest;
      },
    };
    const stream = new ProvingMachine(key, { clock, passMs: () => 1_000, cheat }).stream();
    const { judgement, transcript } = await challenged(stream, key.public, clock);
    expect(transcript.broken?.how).toBe('cut');
    expect(judgement).toMatchObject({ passed: false, again: true });
  });
});

test('a device that a renter wants is given back in the middle, and nothing of it counts', async () => {
  const clock = { ms: 0 };
  const machine = new ProvingMachine(key, { clock, passMs: () => 1_000 });
  let steps = 0;
  const talk = converse({
    stream: machine.stream(),
    context: contextFor(key.public),
    subject,
    expectation,
    hash,
    isSigned: signatureCheck(key.public),
    uniform: () => 0,
    clockMs: () => clock.ms,
    together: async () => undefined,
    onStep: async () => {
      steps += 1;
      if (steps === 3) throw new Yielded();
    },
  });
  await expect(talk).rejects.toThrow(Yielded);
  expect(machine.answers.filter(({ type }) => type === 'root')).toHaveLength(2);
});
