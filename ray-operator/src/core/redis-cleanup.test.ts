import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Job, Pod, RayCluster } from './kubernetes-objects.js';
import { annotations, redisCleanupFinalizer } from './names.js';
import { cleanupJob, needsFinalizer, nextStep } from './redis-cleanup.js';
import { aCluster, aTemplate } from './testing/builders.js';

const deletedAt = Date.parse('2026-01-01T00:00:00Z');
const password = { valueFrom: { secretKeyRef: { name: 'redis', key: 'password' } } };
const options = { redisAddress: 'redis://redis:6379', redisPassword: password };
const deleted = (): RayCluster =>
  aCluster(
    { gcsFaultToleranceOptions: options },
    { deletionTimestamp: new Date(deletedAt).toISOString(), finalizers: [redisCleanupFinalizer] },
  );
const aPod: Pod = { metadata: { name: 'demo-head', namespace: 'team', uid: 'uid-head' } };
const aJob = (type?: string, uid = 'uid-demo'): Job => ({
  metadata: { name: 'demo-redis-cleanup', namespace: 'team', uid: 'j', annotations: { [annotations.clusterUid]: uid } },
  status: { conditions: type ? [{ type, status: 'True', reason: 'BackoffLimitExceeded' }] : [] },
});

test('only a cluster with fault tolerance is held, and once', () => {
  expect(needsFinalizer(aCluster())).toBe(false);
  expect(needsFinalizer(aCluster({ gcsFaultToleranceOptions: options }))).toBe(true);
  expect(needsFinalizer(deleted())).toBe(false);
});

test('pods go first, then the Job, then the finalizer', () => {
  expect(nextStep(deleted(), [aPod], undefined, deletedAt)).toEqual({ kind: 'pods' });
  expect(nextStep(deleted(), [], undefined, deletedAt)).toEqual({ kind: 'start' });
  expect(nextStep(deleted(), [], aJob(), deletedAt)).toEqual({ kind: 'wait' });
  expect(nextStep(deleted(), [], aJob('Complete'), deletedAt)).toMatchObject({ kind: 'finish', cleaned: true });
});

test('a Job that another cluster of the name has left is not taken for its own', () => {
  expect(nextStep(deleted(), [], aJob('Complete', 'uid-before'), deletedAt)).toEqual({ kind: 'replace' });
});

test('whatever there is, after ten minutes the object goes, and says what may be left', () => {
  const pods = fc.constantFrom<(typeof aPod)[]>([], [aPod]);
  const jobs = fc.constantFrom(undefined, aJob(), aJob('Failed'), aJob('Complete', 'uid-before'));
  fc.assert(
    fc.property(pods, jobs, fc.integer({ min: 600_001, max: 10_000_000 }), (left, job, afterMs) => {
      const step = nextStep(deleted(), left, job, deletedAt + afterMs);
      expect(step).toMatchObject({ kind: 'finish', cleaned: false, message: expect.stringContaining('uid-demo') });
    }),
  );
  expect(nextStep(deleted(), [], aJob('Failed'), deletedAt)).toMatchObject({ kind: 'finish', cleaned: false });
});

test('the Job has the place, environment and secrets of the head, and the password in no argument', () => {
  const template = aTemplate('ray-head');
  Object.assign(template.spec, { nodeSelector: { zone: 'a' }, serviceAccountName: 'not-for-the-job' });
  const cluster = aCluster({
    gcsFaultToleranceOptions: options,
    headGroupSpec: { template, rayStartParams: { 'redis-password': 'literal' } },
  });
  const job = cleanupJob(cluster) as unknown as {
    metadata: { ownerReferences?: unknown };
    // biome-ignore lint/suspicious/noExplicitAny: a pod's spec, looked into
    spec: { template: { spec: any } };
  };
  const { containers, ...spec } = job.spec.template.spec;
  expect(spec).toEqual({ nodeSelector: { zone: 'a' }, restartPolicy: 'Never' });
  expect(job.metadata.ownerReferences).toBeUndefined();
  const environment = Object.fromEntries(containers[0].env.map((each: { name: string }) => [each.name, each]));
  expect(environment.RAY_external_storage_namespace.value).toBe('uid-demo');
  expect(environment.REDIS_PASSWORD).toEqual({ name: 'REDIS_PASSWORD', ...password });
  expect(JSON.stringify(containers[0].args)).not.toContain('literal');
});
