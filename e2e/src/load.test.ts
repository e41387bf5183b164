/** Two hundred submissions at once, with parts of the system and clients dying along the way. */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Part, Stack, until } from './harness/index.js';

jest.setTimeout(900_000);

const clients = 20;
const jobsPerClient = 10;
/** 5 % of 200: ten kills, spread over the parts and over the life of the queue. */
const kills: Part[] = [
  'control plane',
  'agent',
  'redis',
  'postgres',
  'control plane',
  'agent',
  'redis',
  'postgres',
  'agent',
  'control plane',
];

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
});
afterAll(() => stack?.stop());

/** Submits until it is acknowledged: a client whose call broke asks again under the same id, as a user would. */
async function submitted(id: string, entrypoint: string): Promise<void> {
  await until(`${id} is acknowledged`, 120_000, async () => {
    const { status, body } = await stack.call('POST', '/api/jobs/', { entrypoint, submission_id: id });
    if (status === 200) return true;
    // The first call was acknowledged by the database though its answer was lost.
    if (status < 500 && String(body).includes('already exists')) return true;
    throw new Error(`${status}: ${JSON.stringify(body)}`);
  });
}

test('200 jobs of 20 clients, ten kills: 200 acknowledged, 200 finished, none twice', async () => {
  const ledger = join(stack.shared, 'runs');
  appendFileSync(ledger, '');
  const ids: string[] = [];
  const client = async (number: number) => {
    for (let i = 0; i < jobsPerClient; i++) {
      const id = `client-${number}-job-${i}`;
      await submitted(id, `echo ${id} >> ${ledger}`);
      ids.push(id);
    }
  };
  const chaos = async () => {
    for (const [number, part] of kills.entries()) {
      const finished = (number * clients * jobsPerClient) / (kills.length + 1);
      await until(
        `${finished} jobs have run`,
        600_000,
        () => readFileSync(ledger, 'utf8').split('\n').length - 1 >= finished,
      );
      await stack.kill9(part);
    }
  };
  await Promise.all([chaos(), ...Array.from({ length: clients }, (_, number) => client(number))]);
  expect(new Set(ids).size).toBe(clients * jobsPerClient);

  const jobs = await until('all have ended', 600_000, async () => {
    const { body } = await stack.call('GET', '/api/jobs/');
    return body.every((job: { end_time: number | null }) => job.end_time !== null) ? body : null;
  });
  expect(jobs).toHaveLength(clients * jobsPerClient);
  const failed = jobs.filter((job: { status: string }) => job.status !== 'SUCCEEDED');
  expect(failed).toEqual([]);
  const runs = readFileSync(ledger, 'utf8').trim().split('\n').sort();
  expect(runs).toEqual([...ids].sort());
});
