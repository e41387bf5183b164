/**
 * (f) Reading with ten thousand jobs and no live head: the whole list, and one job. The limit of 50 ms for the 99th
 * percentile is our own; a bare head took 121 s for one job after a restart (ray#38786), and with no head none answers.
 */
import { Stack } from '../src/harness/index.js';
import { call, percentile, report } from './measure.js';

const jobs = 10_000;
const calls = 200;
const limitMs = 50;

const stack = await Stack.start();
try {
  let next = 0;
  const client = async () => {
    // Nothing here can carry them: no cluster comes up, and they are stopped while they wait.
    for (let number = next++; number < jobs; number = next++) {
      const id = `job-${number}`;
      await stack.submit('python main.py', { submission_id: id, entrypoint_num_gpus: 64 });
      await stack.call('POST', `/api/jobs/${id}/stop`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  // PostgreSQL's autovacuum looks once a minute: by then its planner knows how many there are, as in a system that runs.
  await new Promise(resolve => setTimeout(resolve, 75_000));
  const at = { address: stack.address, headers: { authorization: `Bearer ${stack.apiKey}` } };
  /** Milliseconds to the last byte, of each call; the bytes of the last one. */
  const measure = async (path: () => string) => {
    const times: number[] = [];
    let bytes = 0;
    for (let round = 0; round < calls; round++) {
      const started = performance.now();
      const answer = await call(at, 'GET', path());
      times.push(performance.now() - started);
      bytes = answer.text.length;
      if (answer.status !== 200) throw new Error(`${path()}: ${answer.status}`);
    }
    return { p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), bytes };
  };
  const list = await measure(() => '/api/jobs/');
  const one = await measure(() => `/api/jobs/job-${Math.floor(Math.random() * jobs)}`);
  const page = await measure(() => '/v1/jobs?limit=100');
  report('listing', {
    peer: `the limit of ${limitMs} ms`,
    jobs,
    calls,
    list,
    one,
    page,
    ratio: list.p99Ms / limitMs,
    aim: '<= 1',
  });
} finally {
  await stack.stop();
}
