/** (d) From nothing to a cluster that takes jobs: asked of us, and a bare `ray start --head` to its first accepted job. */
import { Stack, until } from '../src/harness/index.js';
import { BareHead } from './bare-head.js';
import { median, rayVenv, report, submit } from './measure.js';

const rounds = 5;

const stack = await Stack.start();
try {
  const headers = { authorization: `Bearer ${stack.apiKey}` };
  const times = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    const { body } = await stack.call('POST', '/v1/clusters', { name: `round-${round}`, head: { cpus: 2 } });
    await until(
      'it is ready',
      90_000,
      async () => (await stack.call('GET', `/v1/clusters/${body.id}`)).body.phase === 'ready',
      20,
    );
    const direct = { address: `${stack.address}${body.dashboardPath.replace(/\/$/, '')}`, headers };
    await until('it takes a job', 60_000, () => submit(direct, 'true'), 20);
    times.ours.push(performance.now() - started);
    await stack.call('DELETE', `/v1/clusters/${body.id}`);
    await stack.clusterIn(body.id, 'deleted');

    const bareStarted = performance.now();
    const bare = await BareHead.start(rayVenv(), 2);
    // A head that answers does not take jobs at once: as for us, the first accepted job is the end.
    await until('it takes a job', 60_000, () => submit({ address: bare.address, headers: {} }, 'true'), 20);
    times.peer.push(performance.now() - bareStarted);
    await bare.stop();
  }
  const oursMs = median(times.ours);
  const peerMs = median(times.peer);
  report('provisioning', {
    peer: 'bare ray start --head',
    rounds,
    oursMs,
    peerMs,
    ratio: oursMs / peerMs,
    aim: '<= 1.15',
    times,
  });
} finally {
  await stack.stop();
}
