/** From the end of an attempt to the standing of its machine: once, whoever is killed, and nobody waits for anybody. */
import { randomBytes } from 'node:crypto';
import { type AttemptId, type ClusterId, type LeaseId, type NodeId, newId, type TenantId } from '@iocloud/contracts';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { foldEvidence, recordEvidence } from '../../inventory/index.js';
import { type Ground, newTenantKey, startGround } from '../../test-ground.js';
import { JobIntake } from '../intake.js';
import { parseSubmission } from '../submission.js';
import { TestClusters } from '../testing/clusters.js';
import { eventually } from '../testing/eventually.js';
import { noteEvidence } from './evidence.js';
import { type AttemptEnd, endAttempt, loadAttempt } from './store.js';

jest.setTimeout(120_000);

let ground: Ground;
beforeAll(async () => {
  ground = await startGround();
});
afterAll(() => ground?.stop());
beforeEach(() => ground.database.query('DELETE FROM evidence'));

const ended = (outcome: AttemptEnd['outcome']): AttemptEnd => ({
  outcome,
  message: '',
  errorType: null,
  details: null,
});

/** A machine with a head, whose renter owns it unless it is somebody else's. */
async function machine(renter: TenantId, owner = renter) {
  const { database } = ground;
  const ids = {
    cluster: newId('cluster', randomBytes) as ClusterId,
    node: newId('node', randomBytes) as NodeId,
    lease: newId('lease', randomBytes) as LeaseId,
  };
  await database.query('INSERT INTO nodes (id, tenant_id, name, public_key, shared) VALUES ($1, $2, $1, $1, $3)', [
    ids.node,
    owner,
    owner !== renter,
  ]);
  await database.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token)
     VALUES ($1, $2, $1, '{}', 'user', 'running', 'ready', '')`,
    [ids.cluster, renter],
  );
  await database.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec)
     VALUES ($1, $2, $3, $4, 'head', 'head', 0, 1, 0, '{}')`,
    [ids.lease, renter, ids.cluster, ids.node],
  );
  return ids;
}

async function attempts(tenantId: TenantId, at: Awaited<ReturnType<typeof machine>>, count: number) {
  const { database } = ground;
  const intake = new JobIntake({
    database,
    signals: { send: () => undefined } as never,
    random: randomBytes,
    now: Date.now,
  });
  const submission = parseSubmission(JSON.stringify({ entrypoint: 'true' }));
  const names = Array.from({ length: count }, () => `job-${randomBytes(6).toString('hex')}`);
  await Promise.all(
    names.map(submissionId => intake.take({ tenantId, submissionId, submission, packages: [], traceParent: null })),
  );
  const { rows } = await database.query<{ id: string }>(
    `UPDATE jobs SET phase = 'assigned', attempt_count = 1, cluster_id = $2 WHERE submission_id = ANY($1) RETURNING id`,
    [names, at.cluster],
  );
  return Promise.all(
    rows.map(async ({ id: jobId }) => {
      const id = newId('attempt', randomBytes) as AttemptId;
      await database.query(
        `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, reserved)
         VALUES ($1, $2, 1, $3, $4, $1, 'assigned', '{}')`,
        [id, jobId, at.cluster, at.lease],
      );
      return id;
    }),
  );
}

async function end(
  id: AttemptId,
  cause: AttemptEnd,
  clusters = new TestClusters(),
  head: 'lost' | null = null,
  renter?: TenantId,
) {
  const attempt = await loadAttempt(ground.database, id);
  if (!attempt) throw new Error(`no attempt ${id}`);
  const at = new Date();
  const record: typeof recordEvidence = (tx, node, owner, ...told) =>
    recordEvidence(tx, node, renter ?? owner, ...told);
  return endAttempt(ground.database, attempt, cause, at, (tx, job) =>
    noteEvidence(tx, { clusters, reputation: { record } }, { attempt, job, cause, head }, at),
  );
}

async function notes(): Promise<string[]> {
  const { rows } = await ground.database.query<{ kind: string }>('SELECT kind FROM evidence ORDER BY id');
  return rows.map(({ kind }) => kind);
}

async function standing(subject: string) {
  const { rows } = await ground.database.query<{ good: number; bad: number }>(
    'SELECT good, bad FROM standings WHERE subject = $1',
    [subject],
  );
  return rows[0] ?? null;
}

/** To three digits: seconds of decay do not show. */
const about = (good: number, bad: number) => ({ good: expect.closeTo(good, 2), bad: expect.closeTo(bad, 2) });

test('64 attempts that end at once on one machine, each told by two, are counted once each, without a deadlock', async () => {
  const { tenantId } = await newTenantKey(ground.database);
  const at = await machine(tenantId);
  const ids = await attempts(tenantId, at, 64);
  const outcomes = ids.flatMap((id, index) => {
    const cause = ended(index % 4 === 0 ? 'lost' : 'succeeded');
    // One renter alone would not be heard so much.
    const renter = newId('tenant', randomBytes);
    return [0, 1].map(() => end(id, cause, new TestClusters(), null, renter));
  });
  const winners = (await Promise.all(outcomes)).filter(job => job !== null);
  expect(winners).toHaveLength(64);
  expect(await notes()).toHaveLength(64);
  const folded = await Promise.all([1, 2, 3, 4].map(() => foldEvidence(ground.database)));
  expect(folded.reduce((sum, count) => sum + count)).toBe(64);
  expect(await notes()).toEqual([]);
  expect(await foldEvidence(ground.database)).toBe(0);
  for (const subject of [at.node, tenantId]) expect(await standing(subject)).toEqual(about(48, 64));
});

test('an end that does not commit tells nothing, and a fold that is killed half-way is done again, once', async () => {
  const { database } = ground;
  const { tenantId } = await newTenantKey(database);
  const at = await machine(tenantId);
  const [id] = await attempts(tenantId, at, 1);
  if (!id) throw new Error('one attempt was asked for');
  const attempt = await loadAttempt(database, id);
  if (!attempt) throw new Error('it is there');
  const killed = endAttempt(database, attempt, ended('succeeded'), new Date(), async tx => {
    await recordEvidence(tx, at.node, tenantId, { kind: 'attemptEnded' }, new Date());
    throw new Error('killed');
  });
  await expect(killed).rejects.toThrow('killed');
  expect(await notes()).toEqual([]);
  expect(await end(id, ended('succeeded'))).not.toBeNull();
  expect(await foldEvidence(database)).toBe(1);
  expect(await standing(at.node)).toEqual(about(1, 0));

  await database.transaction(tx => recordEvidence(tx, at.node, tenantId, { kind: 'rayNodeLost' }, new Date()));
  await database.transaction(async tx => {
    await tx.query('SELECT 1 FROM standings WHERE subject = $1 FOR UPDATE', [at.node]);
    const fold = foldEvidence(database).then(
      () => 'done',
      () => 'killed',
    );
    await eventually(async () => {
      const { rows } = await database.query<{ done: boolean }>(
        `SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity
         WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO standings%'`,
      );
      if (!rows[0]?.done) throw new Error('the fold does not wait yet');
    });
    expect(await fold).toBe('killed');
  });
  expect(await notes()).toEqual(['rayNodeLost']);
  expect(await standing(at.node)).toEqual(about(1, 0));
  expect(await foldEvidence(database)).toBe(1);
  expect(await standing(at.node)).toEqual(about(1, 2));
});

test('a head that is lost counts against its machine, a cluster deleted by its user does not', async () => {
  const { tenantId } = await newTenantKey(ground.database);
  const at = await machine(tenantId);
  const [lost, deleted] = await attempts(tenantId, at, 2);
  if (!lost || !deleted) throw new Error('two attempts were asked for');
  const clusters = new TestClusters();
  jest.spyOn(clusters, 'machineOf').mockResolvedValueOnce({ nodeId: at.node, failed: true });
  await end(lost, ended('lost'), clusters, 'lost');
  expect(await notes()).toEqual(['attemptInterrupted']);
  jest.spyOn(clusters, 'machineOf').mockResolvedValueOnce({ nodeId: at.node, failed: false });
  await end(deleted, ended('lost'), clusters, 'lost');
  expect(await notes()).toEqual(['attemptInterrupted']);
});

test('a supplier cannot praise its own machine that it offers to others; a renter can, and failures always count', async () => {
  const { database } = ground;
  const [supplier, renter] = [await newTenantKey(database), await newTenantKey(database)];
  const at = await machine(renter.tenantId, supplier.tenantId);
  const told = (who: TenantId, kind: 'attemptEnded' | 'attemptInterrupted', node = at.node) =>
    database.transaction(tx => recordEvidence(tx, node, who, { kind }, new Date()));
  await told(supplier.tenantId, 'attemptEnded');
  await told(supplier.tenantId, 'attemptInterrupted');
  await told(renter.tenantId, 'attemptEnded');
  await told(renter.tenantId, 'attemptEnded', 'nd_unknown' as NodeId);
  expect(await foldEvidence(database)).toBe(4);
  expect(await standing(at.node)).toEqual(about(1, 4));
  expect(await standing(supplier.tenantId)).toEqual(about(1, 4));
  expect(await standing('nd_unknown')).toBeNull();
});

test('a job that left a draining machine counts, one that made room does not', async () => {
  const { tenantId } = await newTenantKey(ground.database);
  const at = await machine(tenantId);
  const ids = await attempts(tenantId, at, 2);
  for (const [index, cause] of ['preempted', 'drained'].entries()) {
    await ground.database.query(
      `UPDATE job_attempts SET evict_cause = $2, evict_reason = 'moved', evict_deadline = now() WHERE id = $1`,
      [ids[index], cause],
    );
  }
  for (const id of ids) await end(id, ended('stopped'));
  expect(await notes()).toEqual(['drained']);
});

test('evidence that comes late counts for what it is worth by then', async () => {
  const { database } = ground;
  const { tenantId } = await newTenantKey(database);
  const at = await machine(tenantId);
  const now = Date.now();
  const tell = (ageDays: number) =>
    database.transaction(tx =>
      recordEvidence(tx, at.node, tenantId, { kind: 'attemptEnded' }, new Date(now - ageDays * 86_400_000)),
    );
  await tell(0);
  await foldEvidence(database);
  await tell(30);
  await foldEvidence(database);
  expect(await standing(at.node)).toEqual(about(1.5, 0));
});
