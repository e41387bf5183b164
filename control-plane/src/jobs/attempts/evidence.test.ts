import { describe, expect, test } from '@jest/globals';
import { evidenceOf } from './evidence.js';

const calm = { drained: false, stopping: false, head: 'up' } as const;
const cause = (outcome: 'succeeded' | 'failed' | 'stopped' | 'lost', errorType: string | null = null) => ({
  outcome,
  errorType,
});

describe('what the end of an attempt tells of its machine', () => {
  test.each([
    ['a success', cause('succeeded'), calm, 'attemptEnded'],
    ['an error of its own', cause('failed', 'JOB_ENTRYPOINT_COMMAND_ERROR'), calm, 'attemptEnded'],
    ['a runtime environment that could not be set up', cause('failed', 'RUNTIME_ENV_SETUP_FAILURE'), calm, null],
    ['a stop by its user', cause('stopped'), { ...calm, stopping: true }, null],
    ['a stop by nobody that we know', cause('stopped'), calm, null],
    ['a head that failed', cause('lost'), { ...calm, head: 'failed' }, 'attemptInterrupted'],
    ['a head that forgot it, or Ray’s own fault', cause('lost'), calm, 'attemptInterrupted'],
    ['its cluster deleted by its user', cause('lost'), { ...calm, head: 'told' }, null],
    ['a head that failed while it was being stopped', cause('lost'), { ...calm, stopping: true, head: 'failed' }, null],
    ['a move with notice', cause('stopped'), { ...calm, drained: true }, 'drained'],
    ['a move at the end of the notice', cause('lost'), { ...calm, drained: true, head: 'told' }, 'drained'],
    [
      'a machine that died before the move',
      cause('lost'),
      { ...calm, drained: true, head: 'failed' },
      'attemptInterrupted',
    ],
    ['a move to make room, or for its budget', cause('stopped'), calm, null],
    ['a success before the move', cause('succeeded'), { ...calm, drained: true }, 'attemptEnded'],
  ] as const)('%s', (_name, ended, circumstances, expected) => {
    expect(evidenceOf(ended, circumstances)).toBe(expected);
  });
});
