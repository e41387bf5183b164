/** A job's life as one trace, told to a real receiver of OTLP over HTTP; and as metrics, with that trace as exemplar. */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AttemptId, type ClusterId, type LeaseId, type NodeId, newId } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { openSpanSink, registry } from '../platform/index.js';
import { type Ground, newTenantKey, startGround } from '../test-ground.js';
import { advanceAttempt } from './attempts/advance.js';
import { evictAttempt } from './attempts/eviction.js';
import { endAttempt, insertAttempts, loadAttempt } from './attempts/store.js';
import { JobIntake } from './intake.js';
import { changeJob, lockJob } from './store.js';
import { parseSubmission } from './submission.js';
import { eventually } from './testing/eventually.js';
import { JobTraces } from './tracing.js';

jest.setTimeout(120_000);

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string }[];
}

let ground: Ground;
let receiver: Server;
const spans: Span[] = [];
beforeAll(async () => {
  ground = await startGround();
  receiver = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    for (const { scopeSpans } of body.resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans);
    response.setHeader('Content-Type', 'application/json').end('{}');
  });
  await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve));
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
afterAll(async () => {
  delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
  receiver?.closeAllConnections();
  receiver?.close();
  await ground?.stop();
});

test('a job that is moved and then succeeds is one trace, continued from its caller', async () => {
  const { database, log } = ground;
  const sink = await openSpanSink('1.2.3', log);
  const traces = new JobTraces(database, sink.tell, log);
  const { tenantId } = await newTenantKey(database);
  const ids = {
    cluster: newId('cluster', randomBytes) as ClusterId,
    node: newId('node', randomBytes) as NodeId,
    lease: newId('lease', randomBytes) as LeaseId,
  };
  await database.query('INSERT INTO nodes (id, tenant_id, name, public_key) VALUES ($1, $2, $1, $1)', [
    ids.node,
    tenantId,
  ]);
  const signals = { send: () => undefined } as never;
  const intake = new JobIntake({ database, signals, random: randomBytes, now: Date.now });
  const traceId = 'abcdef0123456789abcdef0123456789';
  const submission = parseSubmission(JSON.stringify({ entrypoint: 'true' }));
  const traceParent = `00-${traceId}-00f067aa0ba902b7-01`;
  const jobId = await intake.take({ tenantId, submissionId: 'traced', submission, packages: [], traceParent });
  if (!jobId) throw new Error('it was taken');
  await database.query(
    `INSERT INTO clusters (id, tenant_id, name, spec, origin, desired, phase, sealed_token, ready_at)
     VALUES ($1, $2, $1, '{}', 'job', 'running', 'ready', '', now())`,
    [ids.cluster, tenantId],
  );
  await database.query(
    `INSERT INTO leases (id, tenant_id, cluster_id, node_id, role, group_name, ordinal, cpus, memory_bytes, spec, ready_at)
     VALUES ($1, $2, $3, $4, 'head', 'head', 0, 1, 0, '{}', now())`,
    [ids.lease, tenantId, ids.cluster, ids.node],
  );
  const run = async (number: number, isMoved: boolean) => {
    const id = newId('attempt', randomBytes) as AttemptId;
    await database.transaction(async tx => {
      const job = await lockJob(tx, jobId);
      if (!job) throw new Error('no job');
      const place = {
        clusterId: ids.cluster,
        headLeaseId: ids.lease,
        raySubmissionId: `traced.${number}`,
        reserved: {},
      };
      const terms = { microUsdPerHour: 0, stopAt: null, steerable: false };
      await insertAttempts(tx, [{ id, jobId, number, ...place, ...terms } as never]);
      await changeJob(tx, job, { phase: 'assigned', cluster_id: ids.cluster, attempt_count: number });
    });
    const attempt = async () => {
      const row = await loadAttempt(database, id);
      if (!row) throw new Error('no attempt');
      return row;
    };
    await advanceAttempt(database, await attempt(), 'started', null, new Date());
    const eviction = { cause: 'drained', forJob: null, reason: 'its machine goes.', deadline: new Date() } as const;
    if (isMoved) await database.transaction(tx => evictAttempt(tx, id, eviction));
    const end = { outcome: isMoved ? 'evicted' : 'succeeded', message: '', errorType: null, details: null } as const;
    await endAttempt(database, await attempt(), end, new Date(), async () => undefined);
  };
  await run(1, true);
  await run(2, false);
  await traces.stop();
  await sink.flush();
  await eventually(async () => {
    if (!spans.some(({ name }) => name === 'job')) throw new Error('it is not there');
  });
  await sink.close();

  expect(new Set(spans.map(span => span.traceId))).toEqual(new Set([traceId]));
  expect(new Set(spans.map(span => span.spanId)).size).toBe(spans.length);
  const names = spans.map(({ name }) => name);
  expect(names.filter(name => name === 'attempt')).toHaveLength(2);
  expect(names.filter(name => name === 'run')).toHaveLength(2);
  expect(names.filter(name => name === 'queue')).toHaveLength(2);
  expect(names).toEqual(expect.arrayContaining(['provision cluster', 'place', 'start Ray', 'start driver']));
  const [root] = spans.filter(({ name }) => name === 'job');
  expect(root?.parentSpanId).toBe('00f067aa0ba902b7');
  for (const span of spans.filter(({ name }) => name === 'attempt')) expect(span.parentSpanId).toBe(root?.spanId);

  const text = await registry.metrics();
  expect(text).toMatch(new RegExp(`iocloud_job_start_latency_seconds_bucket\\{.*# \\{trace_id="${traceId}"\\}`));
  expect(text).toContain('iocloud_job_evictions_total{cause="drained"} 1');
  expect(text).toContain('iocloud_job_migration_duration_seconds_count{cause="drained"} 1');
  expect(text).toContain('iocloud_jobs_finished_total{outcome="succeeded",priority="normal"} 1');
});
