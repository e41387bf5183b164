/** (c) Following the log of a chatty job from submission to its last byte: through us and on a bare head, in turns. */
import WebSocket from 'ws';
import { Stack, until } from '../src/harness/index.js';
import { BareHead } from './bare-head.js';
import { type JobsAddress, median, rayVenv, report, status, submit, succeeded } from './measure.js';

const lines = 400_000;
const rounds = 3;
// So that both are followed before the first line, and to the last while the job still runs.
const entrypoint = `sleep 2; python -c "for i in range(${lines}): print(i, 'x' * 100)"; sleep 3`;

/** Bytes a second from the first frame of the job's own words to the last. */
async function follow(at: JobsAddress): Promise<number> {
  const id = await submit(at, entrypoint);
  await until('it has started', 60_000, async () => (await status(at, id)) !== 'PENDING', 20);
  const socket = new WebSocket(`${at.address.replace('http', 'ws')}/api/jobs/${id}/logs/tail`, {
    headers: at.headers,
    // Asked for compression, a head of Ray 2.60 sends nothing at all.
    perMessageDeflate: false,
  });
  let bytes = 0;
  let seen = 0;
  let first = 0;
  let last = 0;
  socket.on('message', (data: Buffer) => {
    // What Ray says before the entrypoint begins is not counted.
    if (first === 0 && !data.includes('xxx')) return;
    last = performance.now();
    first ||= last;
    bytes += data.length;
    for (const byte of data) if (byte === 10) seen += 1;
  });
  await new Promise((resolve, reject) => {
    socket.on('close', resolve);
    socket.on('error', reject);
  });
  if (seen < lines) throw new Error(`${seen} of ${lines} lines came from ${at.address}`);
  await succeeded(at, id);
  return bytes / ((last - first) / 1000);
}

const stack = await Stack.start();
const bare = await BareHead.start(rayVenv(), 2);
try {
  const ours: JobsAddress = { address: stack.address, headers: { authorization: `Bearer ${stack.apiKey}` } };
  const peer: JobsAddress = { address: bare.address, headers: {} };
  await succeeded(ours, await submit(ours, 'true'));
  const rates = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    rates.ours.push(await follow(ours));
    rates.peer.push(await follow(peer));
  }
  const oursMBps = median(rates.ours) / 1e6;
  const peerMBps = median(rates.peer) / 1e6;
  report('log-tail', {
    peer: 'bare ray start --head',
    lines,
    rounds,
    oursMBps,
    peerMBps,
    ratio: oursMBps / peerMBps,
    aim: '>= 0.9',
  });
} finally {
  await bare.stop();
  await stack.stop();
}
