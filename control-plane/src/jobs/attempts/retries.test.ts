import { retryPolicyOf } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { parseSubmission } from '../submission.js';
import { checkpointDir, withEnvironment } from './environment.js';
import { jobEventOf } from './store.js';

const running = { phase: 'running' as const, attempt_count: 1, evicted_count: 0, max_attempts: 3 };

describe('what the end of an attempt is to its job', () => {
  const by = (retryOn: string | undefined) => retryPolicyOf(retryOn === undefined ? {} : { 'io.retry_on': retryOn });

  test.each([
    [undefined, 'lost', 'attemptLost'],
    [undefined, 'failed', 'fail'],
    ['infrastructure,error', 'lost', 'attemptLost'],
    ['infrastructure,error', 'failed', 'attemptLost'],
    ['error', 'lost', 'attemptsExhausted'],
    ['error', 'failed', 'attemptLost'],
    ['none', 'lost', 'attemptsExhausted'],
    ['none', 'failed', 'fail'],
    ['infrastructure,error', 'succeeded', 'succeed'],
    ['infrastructure,error', 'stopped', 'stopped'],
    ['none', 'evicted', 'evicted'],
  ] as const)('with io.retry_on=%s, %s means %s', (retryOn, outcome, event) => {
    expect(jobEventOf(outcome, running, by(retryOn))).toBe(event);
  });

  test('the last attempt is the last, and attempts that were moved away count as none', () => {
    const last = { ...running, attempt_count: 3 };
    expect(jobEventOf('lost', last, by(undefined))).toBe('attemptsExhausted');
    expect(jobEventOf('failed', last, by('error'))).toBe('attemptsExhausted');
    expect(jobEventOf('lost', { ...last, evicted_count: 1 }, by(undefined))).toBe('attemptLost');
    expect(jobEventOf('evicted', last, by(undefined))).toBe('evicted');
  });
});

describe('the environment of an attempt', () => {
  const job = {
    id: 'jb_1' as never,
    tenant_id: 'tn_1' as never,
    submission_id: 'train',
    submission: { entrypoint: 'true', runtime_env: { pip: ['x'], env_vars: { A: '1' } } },
    array_size: null,
    array_index: null,
  };
  const variables = (number: number) =>
    (withEnvironment(job, number, '/mnt/shared').runtime_env as { env_vars: Record<string, string> }).env_vars;

  test('has the same checkpoint place in all attempts, and the rest of what the user asked for', () => {
    expect(variables(1)).toMatchObject({ A: '1', IOCLOUD_ATTEMPT: '1', IOCLOUD_SUBMISSION_ID: 'train' });
    expect(variables(2).IOCLOUD_ATTEMPT).toBe('2');
    expect(variables(1).IOCLOUD_CHECKPOINT_DIR).toBe('/mnt/shared/tn_1/jb_1');
    expect(variables(2).IOCLOUD_CHECKPOINT_DIR).toBe(variables(1).IOCLOUD_CHECKPOINT_DIR);
    expect(withEnvironment(job, 1, '/mnt/shared').runtime_env).toMatchObject({ pip: ['x'] });
  });

  test('tells an index of an array which it is, and no other job', () => {
    expect(variables(1)).not.toHaveProperty('IOCLOUD_ARRAY_INDEX');
    expect(withEnvironment({ ...job, array_size: 6, array_index: 0 }, 1, '/x').runtime_env).toMatchObject({
      env_vars: { A: '1', IOCLOUD_ARRAY_INDEX: '0', IOCLOUD_ARRAY_SIZE: '6' },
    });
  });

  test('can lie in an object store', () => {
    expect(checkpointDir('s3://bucket/ckpt/', job.tenant_id, job.id)).toBe('s3://bucket/ckpt/tn_1/jb_1');
  });

  test('gives the grace that the job asks for, unless the user has set Ray’s own variable', () => {
    expect(variables(1).RAY_JOB_STOP_WAIT_TIME_S).toBe('30');
    const own = {
      ...job,
      submission: { entrypoint: 'true', runtime_env: { env_vars: { RAY_JOB_STOP_WAIT_TIME_S: '5' } } },
    };
    expect(withEnvironment(own, 1, '/x').runtime_env).toMatchObject({ env_vars: { RAY_JOB_STOP_WAIT_TIME_S: '5' } });
  });

  test('a submission that sets one of our variables is refused with its name', () => {
    const body = { entrypoint: 'true', runtime_env: { env_vars: { IOCLOUD_CHECKPOINT_DIR: '/x' } } };
    expect(() => parseSubmission(JSON.stringify(body))).toThrow(/IOCLOUD_CHECKPOINT_DIR is set by the platform/);
  });
});

test('a bad retry policy is refused with the key and what it may be', () => {
  const submit = (metadata: object) => () => parseSubmission(JSON.stringify({ entrypoint: 'true', metadata }));
  expect(submit({ 'io.retry_on': 'always' })).toThrow(/io.retry_on: none, infrastructure, error/);
  expect(submit({ 'io.retry_backoff_seconds': 'soon' })).toThrow(/io.retry_backoff_seconds: whole seconds from 0/);
  expect(submit({ 'io.retry_on': 'infrastructure,error', 'io.retry_backoff_seconds': '5' })).not.toThrow();
});
