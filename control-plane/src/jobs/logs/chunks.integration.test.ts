import type { AttemptId, JobId, TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Ground, newTenantKey, startGround } from '../../test-ground.js';
import { AttemptMonitors, evictAttempt } from '../attempts/index.js';
import type { Dispatcher } from '../dispatch.js';
import { TestClusters } from '../testing/clusters.js';
import { insertQueuedJob, schedulerOf, uncalledHead } from '../testing/scheduling.js';
import { appendChunk, logPosition, readChunks } from './chunks.js';

jest.setTimeout(60_000);

let ground: Ground;
let tenantId: TenantId;
let dispatcher: Dispatcher;
beforeAll(async () => {
  ground = await startGround();
  ({ tenantId } = await newTenantKey(ground.database));
  const clusters = new TestClusters();
  await clusters.add(ground.database, tenantId, 'c', uncalledHead, 64);
  dispatcher = schedulerOf(ground, clusters);
});
afterAll(() => ground?.stop());

/** Attempts of so many new jobs, as one run of the scheduler makes them. */
async function attempts(count: number): Promise<AttemptId[]> {
  const jobs: JobId[] = [];
  for (let i = 0; i < count; i += 1) jobs.push(await insertQueuedJob(ground.database, tenantId, 1));
  await dispatcher.handle();
  const { rows } = await ground.database.query<{ id: AttemptId }>(
    'SELECT id FROM job_attempts WHERE job_id = ANY($1) ORDER BY array_position($1, job_id)',
    [jobs],
  );
  expect(rows).toHaveLength(count);
  return rows.map(row => row.id);
}

const kept = async (id: AttemptId) =>
  Buffer.concat((await readChunks(ground.database, id, 0, 1_000)).map(({ data }) => data)).toString();

test('pieces of many logs that come at the same time are each kept in their own log', async () => {
  const { database } = ground;
  const ids = await attempts(5);
  const logs = new Map(ids.map(id => [id, '']));
  for (let round = 0; round < 4; round += 1) {
    const appended = ids.map((attemptId, index) => {
      // Of unlike lengths, one too large to share a statement, and bytes that are no text.
      const text = index === 3 ? 'x'.repeat(20_000) : `${attemptId} \0 é ${'y'.repeat(round * index)}\n`;
      const fromByte = Buffer.byteLength(logs.get(attemptId) ?? '');
      logs.set(attemptId, `${logs.get(attemptId)}${text}`);
      return appendChunk(database, { attemptId, fromByte, data: Buffer.from(text), last: false });
    });
    expect(await Promise.all(appended)).toEqual(ids.map(() => true));
  }
  for (const id of ids) {
    expect(await kept(id)).toBe(logs.get(id));
    expect((await logPosition(database, id))?.bytes).toBe(Buffer.byteLength(logs.get(id) ?? ''));
  }
});

test('a piece that does not follow on what is kept, or comes after the last, is refused alone', async () => {
  const { database } = ground;
  const [one, other, full] = (await attempts(3)) as [AttemptId, AttemptId, AttemptId];
  const append = (attemptId: AttemptId, fromByte: number, text: string, last = false) =>
    appendChunk(database, { attemptId, fromByte, data: Buffer.from(text), last });
  expect(await Promise.all([append(one, 0, 'abc'), append(full, 0, 'the end', true)])).toEqual([true, true]);
  const together = [append(one, 0, 'abc'), append(other, 0, 'def'), append(full, 7, 'more')];
  expect(await Promise.all(together)).toEqual([false, true, false]);
  expect(await Promise.all([one, other, full].map(kept))).toEqual(['abc', 'def', 'the end']);
});

test('what a lost wake-up would have told of attempts is found by the sweep', async () => {
  const { database } = ground;
  // Nothing is followed here: the sweep is only asked.
  const monitors = new AttemptMonitors({ database, now: Date.now } as never);
  const [stopped, evicted, ended] = (await attempts(4)) as [AttemptId, AttemptId, AttemptId];
  expect(await monitors.sweep()).toEqual(expect.arrayContaining([stopped, evicted, ended]));
  await database.query(`UPDATE job_attempts SET started_at = now() - interval '1 hour'`);
  expect(await monitors.sweep()).toEqual([]);
  await database.query(
    `UPDATE jobs SET phase = 'stopping' WHERE id = (SELECT job_id FROM job_attempts WHERE id = $1)`,
    [stopped],
  );
  const eviction = { cause: 'drained', forJob: null, reason: 'moved', deadline: new Date() } as const;
  await database.transaction(async tx => {
    for (const id of [evicted, ended]) await evictAttempt(tx, id, eviction);
  });
  await database.query(
    `UPDATE job_attempts SET phase = 'ended', outcome = 'lost', ended_at = now(), log_complete = true WHERE id = $1`,
    [ended],
  );
  expect((await monitors.sweep()).sort()).toEqual([stopped, evicted].sort());
  const [begun] = await attempts(1);
  expect(await monitors.sweep()).toContain(begun);
});
