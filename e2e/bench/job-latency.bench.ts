/** (a) From submission to SUCCEEDED of a trivial job on a warm cluster: through us and on a bare head, in turns. */
import { Stack } from '../src/harness/index.js';
import { BareHead } from './bare-head.js';
import { type JobsAddress, median, rayVenv, report, submit, succeeded } from './measure.js';

const rounds = 10;

const stack = await Stack.start();
const bare = await BareHead.start(rayVenv(), 2);
try {
  const ours: JobsAddress = { address: stack.address, headers: { authorization: `Bearer ${stack.apiKey}` } };
  const peer: JobsAddress = { address: bare.address, headers: {} };
  const once = async (to: JobsAddress) => {
    const started = performance.now();
    await succeeded(to, await submit(to, 'true'));
    return performance.now() - started;
  };
  await once(ours); // brings the cluster up
  await once(peer);
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.ours.push(await once(ours));
    times.peer.push(await once(peer));
  }
  const oursMs = median(times.ours);
  const peerMs = median(times.peer);
  report('job-latency', {
    peer: 'bare ray start --head',
    rounds,
    oursMs,
    peerMs,
    ratio: oursMs / peerMs,
    aim: '<= 1.10',
    times,
  });
} finally {
  await bare.stop();
  await stack.stop();
}
