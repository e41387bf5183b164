import type { ClusterId, RayJobDetails } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { HeadStatuses } from './head-statuses.js';

const cluster = 'cl_1' as ClusterId;

function trial(followed: number, held = followed) {
  const calls = { single: 0, list: 0 };
  const world = { nowMs: 0, fails: false, followed };
  const details = (id: string) => ({ submission_id: id, status: 'RUNNING' }) as RayJobDetails;
  const names = Array.from({ length: held }, (_, index) => `job-${index}`);
  const statuses = new HeadStatuses({
    heads: {
      job: async (_cluster, id) => {
        calls.single += 1;
        return names.includes(id) ? details(id) : null;
      },
      jobs: async () => {
        calls.list += 1;
        if (world.fails) throw new Error('the head is away');
        return names.map(details);
      },
    },
    followedOn: () => world.followed,
    heard: () => undefined,
    now: () => world.nowMs,
  });
  const askAll = () => Promise.all(names.map(id => statuses.of(cluster, id, 1_000)));
  return { statuses, calls, world, askAll };
}

describe('asking a head', () => {
  test('one list serves all that are followed, until it is too old', async () => {
    const { calls, world, askAll } = trial(20);
    expect((await askAll()).map(job => job?.status)).toEqual(Array(20).fill('RUNNING'));
    world.nowMs = 1_000;
    await askAll();
    expect(calls).toEqual({ single: 0, list: 1 });
    world.nowMs = 1_001;
    await askAll();
    expect(calls).toEqual({ single: 0, list: 2 });
  });

  test('few jobs are asked for one by one', async () => {
    const { calls, askAll } = trial(7);
    await askAll();
    expect(calls).toEqual({ single: 7, list: 0 });
  });

  test('what the list does not name is asked for by itself before it counts as unknown', async () => {
    const { statuses, calls } = trial(20);
    expect(await statuses.of(cluster, 'another', 1_000)).toBeNull();
    expect(calls).toEqual({ single: 1, list: 1 });
  });

  test('a list of many more jobs than are followed is not asked for again for a while', async () => {
    const { calls, world, askAll } = trial(10, 81);
    await askAll();
    await askAll();
    expect(calls).toEqual({ single: 81, list: 1 });
    world.nowMs = 60_000;
    await askAll();
    expect(calls).toEqual({ single: 81, list: 2 });
  });

  test('trouble reaches all who wait for the list, and the next one asks anew', async () => {
    const { statuses, calls, world } = trial(20);
    world.fails = true;
    const both = await Promise.allSettled([statuses.of(cluster, 'job-1', 1_000), statuses.of(cluster, 'job-2', 1_000)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    world.fails = false;
    expect((await statuses.of(cluster, 'job-1', 1_000))?.status).toBe('RUNNING');
    expect(calls.list).toBe(2);
  });
});
