/** Who stops for whom, and what money does to jobs: on a real Ray head with room for one job at a time. */
import type { ClusterId, Job } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { eventually } from './testing/eventually.js';
import { type RayHead, startRayHead } from './testing/ray-head.js';
import { Rig, type Servers, startServers } from './testing/rig.js';

jest.setTimeout(240_000);

let servers: Servers;
let rig: Rig;
let head: RayHead;
let key: string;
let cluster: ClusterId;

beforeAll(async () => {
  servers = await startServers();
  rig = new Rig(servers);
  await rig.start();
  head = await startRayHead({ cpus: 1 });
  const tenant = await rig.tenant();
  key = tenant.key;
  cluster = await rig.clusters.add(rig.database, tenant.id, 'narrow', head, 1);
  // A dollar an hour.
  rig.clusters.setPrice(cluster, 1_000_000);
});
afterAll(async () => {
  await rig?.stop();
  await head?.stop();
  await servers?.stop();
});

const submit = (id: string, metadata: Record<string, string>, entrypoint: string) =>
  rig.submit(key, { entrypoint, submission_id: id, metadata: { 'io.cluster': 'narrow', ...metadata } });
const view = async (id: string) => (await (await rig.call(key, 'GET', `/v1/jobs/${id}`)).json()) as Job;
const running = (id: string) =>
  eventually(async () => {
    const job = await view(id);
    if (job.phase !== 'running') throw new Error(`${id} is ${job.phase}: ${job.message}`);
    return job;
  });
const waiting = (id: string, words: string) =>
  eventually(async () => {
    const { phase, message } = await view(id);
    expect([phase, message]).toEqual(['queued', expect.stringContaining(words)]);
  });
const reasons = async (id: string) => {
  const { rows } = await rig.database.query<{ reason: string }>('SELECT reason FROM events WHERE subject = $1', [id]);
  return rows.map(({ reason }) => reason);
};

/** Writes a checkpoint when it is told to stop, and ends well when it finds one. */
const resumable = `bash -c '
  if [ -e "$IOCLOUD_CHECKPOINT_DIR/step" ]; then echo resumed from $(cat "$IOCLOUD_CHECKPOINT_DIR/step"); exit 0; fi
  trap "echo 7 > \\"$IOCLOUD_CHECKPOINT_DIR/step\\"; exit 143" TERM
  echo began; while :; do sleep 0.1; done'`;

test('an urgent job stops a preemptible one, which comes back to its checkpoint with no attempt used up', async () => {
  await submit('lowly', { 'io.priority': 'low', 'io.preemptible': 'true', 'io.max_attempts': '1' }, resumable);
  await running('lowly');
  await eventually(async () => expect(await rig.logs(key, 'lowly')).toContain('began'));
  await submit('ordinary', {}, 'true');
  await waiting('ordinary', 'Waiting for room on cluster narrow');
  await submit('pressing', { 'io.priority': 'urgent' }, 'true');
  expect((await rig.ended(key, 'pressing')).status).toBe('SUCCEEDED');
  expect((await rig.ended(key, 'ordinary')).status).toBe('SUCCEEDED');
  expect((await rig.ended(key, 'lowly')).status).toBe('SUCCEEDED');
  expect(await rig.logs(key, 'lowly')).toContain('resumed from 7');
  const { attempts } = await view('lowly');
  expect(attempts.map(({ outcome, message }) => [outcome, message])).toEqual([
    ['evicted', 'more urgent work needs its place.'],
    ['succeeded', expect.any(String)],
  ]);
  expect(await reasons('lowly')).toContain('JobPreempted');
  const started = async (id: string) => (await view(id)).attempts.at(-1)?.startedAt ?? '';
  expect((await started('pressing')) < (await started('ordinary'))).toBe(true);
  expect((await started('ordinary')) < (await started('lowly'))).toBe(true);
});

test('what is not preemptible is left alone, however urgent the other', async () => {
  await submit('firm', {}, 'sleep 4');
  await running('firm');
  await submit('pressing-2', { 'io.priority': 'urgent' }, 'true');
  await waiting('pressing-2', 'Waiting for room');
  expect((await rig.ended(key, 'firm')).status).toBe('SUCCEEDED');
  expect((await rig.ended(key, 'pressing-2')).status).toBe('SUCCEEDED');
  expect((await view('firm')).attempts).toHaveLength(1);
});

test('a job whose budget is spent is asked to stop in time, fails with the reason, and is not tried again', async () => {
  // 33 seconds at a dollar an hour, of which 30 are kept for its grace.
  const dollars = ((33 / 3_600) * 1.001).toFixed(6);
  await submit('costly', { 'io.budget': dollars, 'io.expected_duration': '1s' }, 'sleep 300');
  const job = await rig.ended(key, 'costly');
  expect([job.status, job.message]).toEqual(['FAILED', expect.stringContaining('is spent')]);
  const { attempts, spentMicroUsd } = await view('costly');
  expect(attempts.map(({ outcome }) => outcome)).toEqual(['evicted']);
  expect(spentMicroUsd).toBeGreaterThan(0);
  expect(spentMicroUsd).toBeLessThanOrEqual(Number(dollars) * 1e6);
  await submit('poor', { 'io.budget': '0.001' }, 'true');
  await waiting('poor', 'it could pass its budget');
  expect((await rig.call(key, 'POST', '/api/jobs/poor/stop')).status).toBe(200);
});

test('a job waits for its price, and goes at any price when its deadline forces it', async () => {
  const deadline = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();
  const cheap = (seconds: number) => ({
    'io.cheap_price_per_hour': '0.5',
    'io.deadline': deadline(seconds),
    'io.expected_duration': '1s',
  });
  await submit('patient', cheap(3_600), 'true');
  await waiting('patient', 'Waiting for a cheap window: it costs 1.00 USD an hour now');
  await submit('forced', cheap(4), 'true');
  await waiting('forced', 'when its deadline forces it');
  expect((await rig.ended(key, 'forced')).status).toBe('SUCCEEDED');
  expect((await view('patient')).phase).toBe('queued');
  rig.clusters.setPrice(cluster, 400_000);
  await submit('herald', {}, 'true');
  expect((await rig.ended(key, 'patient')).status).toBe('SUCCEEDED');
});

test('keys that cannot be meant are refused with their names', async () => {
  const refused = async (metadata: Record<string, string>) => {
    const answer = await rig.call(key, 'POST', '/api/jobs/', { entrypoint: 'true', metadata });
    expect(answer.status).toBe(400);
    return answer.text();
  };
  expect(await refused({ 'io.cheap_price_per_hour': '1' })).toContain('needs a deadline');
  expect(await refused({ 'io.budget': '1', 'io.grace_seconds': '60' })).toContain('io.grace_seconds');
  expect(await refused({ 'io.preemptible': 'perhaps' })).toContain('io.preemptible');
});
