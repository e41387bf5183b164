/** Jobs that name a Mega-Ray cluster go to whichever of its cells has least to do. */
import { type ClusterId, type JobId, scheduling, type TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobCluster } from './cluster-draft.js';
import { demandOf, JobQueue, type QueuedJob } from './job-queue.js';

const tenantId = 't1' as TenantId;
const nowMs = 1_000;
const mega = { id: 'mc_1', name: 'train' };
const capacity = { cpus: 4, gpus: 0, memoryBytes: 2 ** 40, resources: {} };

const cell = (id: string, more: Partial<JobCluster> = {}): JobCluster => ({
  id: id as ClusterId,
  tenantId,
  name: `train-${id}`,
  origin: 'user',
  phase: 'ready',
  capacity,
  mega,
  saturated: false,
  nodeLabels: [{}],
  waitingFor: 'its head is starting',
  ...more,
});
const job = (id: string, wantedCluster: string | null = 'train', cpus = 1): QueuedJob => ({
  id: id as JobId,
  tenantId,
  needs: { cpus, gpus: 0, memoryBytes: 0, resources: {}, labelSelector: {} },
  wantedCluster,
  scheduling: scheduling.parse({}),
  submittedAtMs: nowMs,
  node: { key: 'head/0', cpus, gpus: 0 },
  spentMicroUsd: 0,
  memory: null,
});
function decide(clusters: JobCluster[], queued: QueuedJob[], maxJobsPerCluster = 32) {
  const scene = { queued, running: [], others: [], clusters, machines: [], tenants: [], capacity: demandOf(capacity) };
  const { decisions } = new JobQueue(scene, { maxJobsPerCluster, rayVersion: '2.60.0' }).decide(nowMs);
  return {
    placed: decisions.flatMap(each => (each.kind === 'assign' ? [[each.jobId, each.clusterId]] : [])),
    said: decisions.flatMap(each => (each.kind === 'wait' ? [each.message] : [])),
    kinds: new Set(decisions.map(({ kind }) => kind)),
  };
}

describe('a job that names a Mega-Ray cluster', () => {
  test('by name or id, goes to one of its cells and nowhere else', () => {
    const clusters = [cell('other', { mega: { id: 'mc_2', name: 'other' } }), cell('a')];
    for (const name of ['train', 'mc_1']) expect(decide(clusters, [job('j', name)]).placed).toEqual([['j', 'a']]);
    expect(decide(clusters.slice(0, 1), [job('j')]).kinds).toEqual(new Set(['wait']));
  });

  test('goes where Ray reports the least in use, and last where it reports work that waits', () => {
    const busy = [cell('a', { inUse: 0.75 }), cell('b', { inUse: 0.25 }), cell('c', { saturated: true })];
    expect(decide(busy, [job('j')]).placed).toEqual([['j', 'b']]);
  });

  test('waits for the cells as long as none is ready, and says when none can ever run it', () => {
    expect(decide([cell('a', { phase: 'provisioning' })], [job('j')]).said).toEqual([
      'Waiting for cluster train-a: its head is starting.',
    ]);
    expect(decide([cell('a')], [job('j', 'train', 8)]).said[0]).toMatch(/^No cell of train can ever run this job/);
    expect(decide([cell('a')], [job('i', 'train', 4), job('j', 'train', 4)]).said[0]).toMatch(
      /^Waiting for room on the cells of train/,
    );
  });

  test('is one of many that are spread evenly: no cell has two more than another that had room', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20 }), (cellCount, jobCount) => {
        const clusters = Array.from({ length: cellCount }, (_, place) => cell(`c${place}`));
        const queued = Array.from({ length: jobCount }, (_, place) => job(`j${String(place).padStart(2, '0')}`));
        const { placed } = decide(clusters, queued);
        const counts = clusters.map(({ id }) => placed.filter(([, where]) => where === id).length);
        expect(placed).toHaveLength(Math.min(jobCount, 4 * cellCount));
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
