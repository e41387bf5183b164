/** The queue as its users see it: who goes first, and what can be changed while one waits. On a real Ray head. */

import type { Job } from '@iocloud/contracts';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { foldEvidence } from '../inventory/index.js';
import { type RayHead, startRayHead } from './testing/ray-head.js';
import { Rig, type Servers, startServers } from './testing/rig.js';

jest.setTimeout(240_000);

describe('a queue before a cluster with room for one job', () => {
  let servers: Servers;
  let rig: Rig;
  let head: RayHead;
  let key: string;

  beforeAll(async () => {
    servers = await startServers();
    rig = new Rig(servers);
    await rig.start();
    head = await startRayHead({ cpus: 1 });
    const tenant = await rig.tenant();
    key = tenant.key;
    await rig.clusters.add(rig.database, tenant.id, 'narrow', head, 1);
  });
  afterAll(async () => {
    await rig?.stop();
    await head?.stop();
    await servers?.stop();
  });

  const submit = (id: string, metadata: Record<string, string> = {}, entrypoint = 'true') =>
    rig.submit(key, { entrypoint, submission_id: id, metadata: { 'io.cluster': 'narrow', ...metadata } });
  const change = (id: string, metadata: Record<string, string | null>) =>
    rig.call(key, 'PATCH', `/v1/jobs/${id}`, { metadata });
  const stop = (id: string) => rig.call(key, 'POST', `/api/jobs/${id}/stop`);

  test('goes by class and then by submission, and by a class that was changed while it waited', async () => {
    await submit('holder', {}, 'sleep 300');
    await submit('normal-1');
    await submit('low', { 'io.priority': 'low' });
    await submit('normal-2');
    await submit('raised', { 'io.priority': 'low' });
    await submit('urgent', { 'io.priority': 'urgent' });
    const raised = await change('raised', { 'io.priority': 'high' });
    expect(raised.status).toBe(200);
    expect(((await raised.json()) as Job).metadata).toEqual({ 'io.cluster': 'narrow', 'io.priority': 'high' });
    await stop('holder');
    const ids = ['urgent', 'raised', 'normal-1', 'normal-2', 'low'];
    const started = new Map<string, number>();
    for (const id of ids) {
      await rig.ended(key, id);
      const { rows } = await rig.database.query<{ started_at: Date }>(
        'SELECT a.started_at FROM job_attempts a JOIN jobs j ON j.id = a.job_id WHERE j.submission_id = $1',
        [id],
      );
      started.set(id, rows[0]?.started_at.getTime() ?? 0);
    }
    expect([...ids].sort((a, b) => (started.get(a) ?? 0) - (started.get(b) ?? 0))).toEqual(ids);
  });

  test('changes only what waits, only what it knows, and only for its owner', async () => {
    await submit('holder-2', {}, 'sleep 300');
    await submit('waits', { 'io.priority': 'low', team: 'a' });
    const refusals: [Response, number, string][] = [
      [await change('waits', { 'io.priority': 'highest' }), 400, 'metadata key io.priority'],
      [await change('waits', { 'io.prioritee': 'high' }), 400, 'io.prioritee is unknown'],
      [await change('waits', { team: 'b' }), 400, 'can be changed'],
      [await change('waits', { 'io.cluster': 'nowhere' }), 400, 'no running cluster is called nowhere'],
      [await change('waits', {}), 400, 'names nothing to change'],
      [await change('nobody', { 'io.priority': 'high' }), 404, 'no job nobody exists'],
      [await change('urgent', { 'io.priority': 'high' }), 409, 'urgent is succeeded'],
    ];
    for (const [answer, status, words] of refusals) {
      expect([words, answer.status, await answer.text()]).toEqual([words, status, expect.stringContaining(words)]);
    }
    const stranger = await rig.tenant();
    const path = '/v1/jobs/waits';
    const foreign = await rig.call(stranger.key, 'PATCH', path, { metadata: { 'io.priority': 'high' } });
    expect(foreign.status).toBe(404);
    // Nothing of what was refused has left a trace.
    const job = (await (await rig.call(key, 'GET', path)).json()) as Job;
    expect(job.metadata).toEqual({ 'io.cluster': 'narrow', 'io.priority': 'low', team: 'a' });
    const cleared = (await (await change('waits', { 'io.priority': null })).json()) as Job;
    expect(cleared.metadata).toEqual({ 'io.cluster': 'narrow', team: 'a' });
    await stop('holder-2');
    expect((await rig.ended(key, 'waits')).status).toBe('SUCCEEDED');
  });

  test('ends in a rating that counts once, for the machine and its supplier', async () => {
    const rate = (id: string, body: object) => rig.call(key, 'POST', `/v1/jobs/${id}/rating`, body);
    const standings = async () => {
      while ((await foldEvidence(rig.database)) > 0);
      const { rows } = await rig.database.query<{ good: number; bad: number }>(
        'SELECT good, bad FROM standings ORDER BY subject',
      );
      return rows;
    };
    await submit('holder-3', {}, 'sleep 300');
    await submit('rated');
    expect((await rate('rated', { stars: 2 })).status).toBe(409);
    await stop('holder-3');
    await rig.ended(key, 'rated');
    expect((await rate('rated', { stars: 6 })).status).toBe(400);
    const before = await standings();
    expect((await rate('rated', { stars: 2, comment: 'slow' })).status).toBe(200);
    const again = await rate('rated', { stars: 5 });
    expect([again.status, await again.text()]).toEqual([409, expect.stringContaining('has been rated already')]);
    expect((await rig.call((await rig.tenant()).key, 'POST', '/v1/jobs/rated/rating', { stars: 1 })).status).toBe(404);
    const after = await standings();
    expect(before).toHaveLength(2);
    for (const [index, standing] of after.entries()) {
      expect(standing.good - (before[index]?.good ?? 0)).toBeCloseTo(0.5, 3);
      expect(standing.bad - (before[index]?.bad ?? 0)).toBeCloseTo(1.5, 3);
    }
  });
});
