/** Where a bare Ray head hurts its users, and what they meet here instead. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { processesNaming, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

const logLimit = 2 ** 20;
let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4', IOCLOUD_MAX_JOB_LOG_BYTES: String(logLimit) } });
});
afterAll(() => stack?.stop());

const killRay = (pattern: RegExp) => {
  const found = processesNaming(stack.home).filter(({ command }) => pattern.test(command));
  expect(found.length).toBeGreaterThan(0);
  for (const { pid } of found) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // It ended by itself between the look and the blow.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
};
const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}`);
const numbered = (text: string) => text.split('\n').filter(line => /^line \d+$/.test(line));
const print = (count: number) => `for i in $(seq 1 ${count}); do echo line $i; done`;

describe('a log stays whole (a head answers 500 once its node is gone, ray#65402)', () => {
  test('when the head dies under a running job, with what the job had said until then', async () => {
    const id = await stack.submit(`${print(5_000)}; sleep 600`, { metadata: { 'io.max_attempts': '1' } });
    await until('it has spoken', 90_000, async () => numbered(await stack.log(id)).length === 5_000);
    killRay(/gcs_server/);
    const job = await stack.ended(id);
    expect(job.status).toBe('FAILED');
    expect(job.message).toContain('was lost');
    expect(numbered(await stack.log(id))).toEqual(lines(5_000));
  });

  test('when the head dies right after the job has said its last word', async () => {
    await stack.ended(await stack.submit('true'));
    const id = await stack.submit(`${print(20_000)}; sleep 600`, { metadata: { 'io.max_attempts': '1' } });
    await until('it runs', 90_000, async () => numbered(await stack.log(id)).length > 0);
    killRay(/gcs_server|raylet/);
    await stack.ended(id);
    const said = numbered(await stack.log(id));
    // However far it came before it was killed: from the first line on, none missing, none twice.
    expect(said).toEqual(lines(said.length));
    expect(said.length).toBeGreaterThan(0);
  });
});

describe('a job that floods its log (others waited 119 s and more, ray#39535)', () => {
  test('is cut at the limit with a word about it, and the others go on', async () => {
    await stack.ended(await stack.submit('true'));
    const flood = await stack.submit('yes this is far too much');
    await until('it floods', 60_000, async () => (await stack.log(flood)).length > 100_000);
    const others = await Promise.all(lines(3).map(line => stack.submit(`echo ${line}; echo the end`)));
    for (const [index, id] of others.entries()) {
      expect((await stack.ended(id)).status).toBe('SUCCEEDED');
      expect(await stack.log(id)).toContain(`line ${index + 1}\nthe end`);
    }
    expect((await stack.job(flood)).status).toBe('RUNNING');
    await stack.call('POST', `/api/jobs/${flood}/stop`);
    expect((await stack.ended(flood)).status).toBe('STOPPED');
    const log = await stack.log(flood);
    expect(log.length).toBeGreaterThan(logLimit * 0.9);
    expect(log.length).toBeLessThan(logLimit * 1.1);
    expect(log).toMatch(/log.*(limit|dropped|cut)/i);
  });
});

describe('thousands of jobs and not one live head (a head took 121 s for one job, ray#38786)', () => {
  const count = 10_000;

  test('all are listed, and each is found', async () => {
    for (const { id } of (await stack.call('GET', '/v1/clusters')).body.items) {
      await stack.call('DELETE', `/v1/clusters/${id}`);
      await stack.clusterIn(id, 'deleted');
    }
    // Nothing here can carry them, so none of them brings a cluster up.
    const needs = { entrypoint_num_gpus: 64 };
    let next = 0;
    const client = async () => {
      for (let number = next++; number < count; number = next++) {
        await stack.submit('true', { submission_id: `many-${number}`, ...needs });
      }
    };
    await Promise.all(Array.from({ length: 16 }, client));
    expect(processesNaming(stack.home).filter(({ command }) => /gcs_server|raylet/.test(command))).toEqual([]);
    const { body } = await stack.call('GET', '/api/jobs/');
    const ids = new Set(body.map((job: { submission_id: string }) => job.submission_id));
    for (let number = 0; number < count; number++) expect(ids.has(`many-${number}`)).toBe(true);
    expect((await stack.job('many-7777')).status).toBe('PENDING');
    expect((await stack.job('many-0')).message).toContain('No machine can carry this job');
    const seen = new Set<string>();
    for (let after = ''; ; ) {
      const page = (await stack.call('GET', `/v1/jobs?limit=1000${after && `&after=${after}`}`)).body;
      for (const { submissionId } of page.items) seen.add(submissionId);
      if (page.next === null) break;
      after = page.next;
    }
    expect(seen.size).toBe(ids.size);
  });
});

test('jobs that nothing can carry keep no other from running', async () => {
  await stack.submit('true', { entrypoint_num_gpus: 64 });
  expect((await stack.ended(await stack.submit('true'))).status).toBe('SUCCEEDED');
});

test('a submission id can be used again once its job is deleted, log and all', async () => {
  for (const word of ['first', 'second']) {
    await stack.submit(`echo ${word}`, { submission_id: 'again' });
    expect((await stack.ended('again')).status).toBe('SUCCEEDED');
    const log = await stack.log('again');
    expect(log).toContain(word);
    expect(log).not.toContain(word === 'first' ? 'second' : 'first');
    expect((await stack.call('DELETE', '/api/jobs/again')).status).toBe(200);
    expect((await stack.call('GET', '/api/jobs/again/logs')).status).toBe(404);
  }
});
