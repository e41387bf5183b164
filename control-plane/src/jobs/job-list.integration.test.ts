import type { TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { JobList } from './job-list.js';

jest.setTimeout(60_000);

let ground: Ground;
let tenantId: TenantId;
beforeAll(async () => {
  ground = await startGround();
  ({ tenantId } = await newTenantKey(ground.database));
});
afterAll(() => ground?.stop());

const insert = (id: string, view: string) =>
  ground.database.query(
    `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts, ray_view,
       submitted_at, queue_at)
     VALUES ($1, $2, $1, '{}', '{}', '{}', 'queued', '', 1, $3, now(), now())`,
    [id, tenantId, JSON.stringify(view)],
  );

test('the list shows every change at once, in whatever order transactions commit', async () => {
  const { database } = ground;
  const list = new JobList(database);
  const shown = async () => JSON.parse((await list.of(tenantId, null)).toString()) as string[];
  expect(await shown()).toEqual([]);
  await insert('jb_a', 'a');
  await insert('jb_b', 'b');
  expect(await shown()).toEqual(['a', 'b']);
  expect(await list.of(tenantId, null)).toBe(await list.of(tenantId, null));

  // An older transaction commits after a younger one has been seen.
  const older = await database.pool.connect();
  await older.query('BEGIN');
  await older.query(`UPDATE jobs SET ray_view = '"old"' WHERE id = 'jb_a'`);
  await database.query(`UPDATE jobs SET ray_view = '"young"' WHERE id = 'jb_b'`);
  expect(await shown()).toEqual(['a', 'young']);
  await older.query('COMMIT');
  older.release();
  expect(await shown()).toEqual(['old', 'young']);

  // As many go as come.
  await database.query(`DELETE FROM jobs WHERE id = 'jb_a'`);
  await insert('jb_c', 'c');
  expect(await shown()).toEqual(['young', 'c']);
});
