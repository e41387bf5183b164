/** (b) Acknowledged submissions a second from 16 clients: to us, then to a bare head; both run the jobs meanwhile. */
import { Stack } from '../src/harness/index.js';
import { BareHead } from './bare-head.js';
import { type JobsAddress, rayVenv, report, submit } from './measure.js';

const clients = 16;

/** Each client submits one after the other, for `seconds`; returns acknowledged submissions a second. */
async function rate(to: JobsAddress, seconds: number): Promise<{ perSecond: number; acknowledged: number }> {
  const started = performance.now();
  const end = started + seconds * 1000;
  let acknowledged = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        await submit(to, 'true');
        acknowledged += 1;
      }
    }),
  );
  return { perSecond: acknowledged / ((performance.now() - started) / 1000), acknowledged };
}

const bare = await BareHead.start(rayVenv(), 2);
let peer: Awaited<ReturnType<typeof rate>>;
try {
  await submit({ address: bare.address, headers: {} }, 'true');
  peer = await rate({ address: bare.address, headers: {} }, 20);
} finally {
  await bare.stop();
}
const stack = await Stack.start();
try {
  const ours: JobsAddress = { address: stack.address, headers: { authorization: `Bearer ${stack.apiKey}` } };
  await stack.ended(await submit(ours, 'true'));
  const result = await rate(ours, 10);
  report('submissions', {
    peer: 'bare ray start --head',
    clients,
    oursPerSecond: result.perSecond,
    peerPerSecond: peer.perSecond,
    ratio: result.perSecond / peer.perSecond,
    aim: '>= 20',
    acknowledged: { ours: result.acknowledged, peer: peer.acknowledged },
  });
} finally {
  await stack.stop();
}
