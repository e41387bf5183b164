/** The real agent and the real program, against the reference numbers. */
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import {
  commitmentText,
  maxLineBytes,
  type ProofAnswer,
  type ProofRequest,
  type ProofWork,
  proofAnswer,
} from '@iocloud/contracts';
import { lines } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import ssh2 from 'ssh2';
import { processesNamed } from '../testing/machine.js';
import { until, World } from '../testing/world.js';

const vectors = JSON.parse(readFileSync('worker-bootstrap/python/prove-vectors.json', 'utf8')) as {
  work: ProofWork;
  passes: { key: string; root: string }[];
};

let world: World;
beforeAll(async () => {
  world = new World();
  await world.controlPlane.listen();
  world.controlPlane.desire([]);
  const simulatedDevices = [{ vendor: 'nvidia' as const, model: 'H100', memoryBytes: 2 ** 36, count: 1 }];
  // By what is in its programs' environment they are told from those of other tests.
  world.startAgent({ simulatedDevices }, { PATH: `${process.env.PATH}:/${world.nodeId}` });
  await until('the agent is connected', () => world.controlPlane.connected);
});
afterAll(() => world.destroy());

class Talk {
  readonly #lines: AsyncGenerator<string>;
  constructor(readonly stream: Duplex) {
    this.#lines = lines(stream, maxLineBytes);
  }
  async ask(request: ProofRequest): Promise<ProofAnswer> {
    this.stream.write(`${JSON.stringify(request)}\n`);
    const { value } = await this.#lines.next();
    return proofAnswer.parse(JSON.parse(value));
  }
}

async function talk(): Promise<Talk> {
  const { stream, answer } = await world.controlPlane.open({ kind: 'prove' });
  expect(answer).toEqual({ ok: true });
  return new Talk(stream);
}

const processors = { index: null, vendor: 'cpu' };
const programs = () => processesNamed('prove.py', world.nodeId);

test('processors come to the reference numbers, signed by the device key, and show what is asked for', async () => {
  const { ask, stream } = await talk().then(one => ({ ask: one.ask.bind(one), stream: one.stream }));
  expect(await ask({ type: 'ping', count: 7 })).toEqual({ type: 'pong', count: 7 });
  expect(await ask({ type: 'begin', device: processors, work: vectors.work })).toEqual({ type: 'ready' });
  const key = ssh2.utils.parseKey(world.publicKeyLine);
  if (key instanceof Error || Array.isArray(key)) throw new Error('the key of the world can be read');
  for (const [pass, expected] of vectors.passes.entries()) {
    const answer = await ask({ type: 'pass', pass, key: expected.key });
    expect(answer).toMatchObject({ type: 'root', pass, root: expected.root });
    const signature = answer.type === 'root' ? (answer.signature ?? '') : '';
    const text = commitmentText(expected.key, pass, expected.root);
    expect(key.verify(Buffer.from(text), Buffer.from(signature, 'base64'))).toBe(true);
    const opened = await ask({ type: 'open', rows: [[0, 3]] });
    expect(opened).toMatchObject({ type: 'opened', openings: [{ row: expect.any(String) }] });
  }
  expect(await programs()).not.toEqual([]);
  stream.destroy();
  await until('nothing of the program is left', async () => (await programs()).length === 0);
});

test('one that dies in the middle is said to have, and the agent goes on', async () => {
  const one = await talk();
  await one.ask({ type: 'begin', device: processors, work: vectors.work });
  for (const pid of await programs()) process.kill(pid, 'SIGKILL');
  expect(await one.ask({ type: 'pass', pass: 0, key: '00'.repeat(32) })).toMatchObject({
    type: 'fault',
    message: expect.stringContaining('the program ended'),
  });
  const other = await talk();
  expect(await other.ask({ type: 'begin', device: processors, work: vectors.work })).toEqual({ type: 'ready' });
  other.stream.destroy();
});

test.each([
  ['a device that is simulated', { index: 0, vendor: 'nvidia' }, 'is simulated'],
  ['a device that is not there', { index: 5, vendor: 'nvidia' }, 'there is no device 5'],
])('%s is said to be', async (_name, device, words) => {
  const one = await talk();
  const answer = await one.ask({ type: 'begin', device, work: vectors.work });
  expect(answer).toMatchObject({ type: 'fault', message: expect.stringContaining(words) });
});

test('work that floats cannot hold exactly is refused by the program', async () => {
  const one = await talk();
  const work = { ...vectors.work, rowLength: 1024, products: 16, blocks: 1 } as const;
  expect(await one.ask({ type: 'begin', device: processors, work })).toMatchObject({
    type: 'fault',
    message: expect.stringContaining('at most 4096'),
  });
});

test('a proof that does not begin, or makes no sense, ends', async () => {
  const one = await talk();
  expect(await one.ask({ type: 'pass', pass: 0, key: '00'.repeat(32) })).toMatchObject({ type: 'fault' });
  const two = await talk();
  two.stream.write('nonsense\n');
  expect(await two.ask({ type: 'ping', count: 1 })).toMatchObject({ type: 'fault' });
  await until('nothing of the programs is left', async () => (await programs()).length === 0);
});
