import type { Pod } from '@iocloud/ray-operator';
import { describe, expect, test } from '@jest/globals';
import { seenOf, startLimitMs } from './observation.js';

const at = { nowMs: startLimitMs, sinceMs: startLimitMs, trouble: '' };
const created = new Date(startLimitMs).toISOString();
const pod = (uid: string, status: Pod['status'], more: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name: 'head', namespace: 'rays', uid, creationTimestamp: created, ...more },
  spec: { restartPolicy: 'Never', containers: [{ name: 'ray-head' }] },
  ...(status ? { status } : {}),
});
const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
const known = { pod: { name: 'head', uid: 'first' }, ended: null };

describe('a lease on Kubernetes', () => {
  test('is said to start only once its pod is on record', () => {
    expect(seenOf(undefined, [], at)).toMatchObject({ kind: 'is', observation: { phase: 'starting' } });
    expect(seenOf(undefined, [pod('first', ready)], at)).toEqual({ kind: 'found', pod: known.pod });
    expect(seenOf(known, [pod('first', ready)], at)).toMatchObject({ kind: 'is', observation: { phase: 'ready' } });
  });

  test('is never run by another pod of the same name', () => {
    expect(seenOf(known, [pod('second', ready)], at)).toEqual({ kind: 'missing', pod: known.pod });
  });

  test('stays ended, whatever pods come', () => {
    const record = { ...known, ended: 'its pod head is gone' };
    expect(seenOf(record, [pod('first', ready)], at)).toMatchObject({ observation: { phase: 'exited' } });
  });

  test.each([
    ['Failed', { phase: 'Failed' }],
    ['Succeeded', { phase: 'Succeeded' }],
    [
      'with its container ended',
      { phase: 'Running', containerStatuses: [{ name: 'ray-head', state: { terminated: { exitCode: 1 } } }] },
    ],
  ] as const)('has ended with a pod that is %s', (_, status) => {
    expect(seenOf(known, [pod('first', status as unknown as Pod['status'])], at).kind).toBe('ended');
  });

  test.each([
    ['not ready', pod('first', { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] })],
    ['being deleted', pod('first', ready, { deletionTimestamp: created })],
    ['unknown', pod('first', { phase: 'Unknown' })],
  ])('has not ended with a pod that is %s, however long', (_, one) => {
    const late = { ...at, nowMs: at.nowMs + 100 * startLimitMs };
    expect(seenOf(known, [one], late)).toMatchObject({ kind: 'is', observation: { phase: 'starting' } });
  });

  test('that never began is given up, with the reason', () => {
    const waiting = {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' }],
    };
    const late = { ...at, nowMs: at.nowMs + startLimitMs + 1 };
    expect(seenOf(known, [pod('first', waiting)], at)).toMatchObject({
      observation: { message: 'Unschedulable: no room' },
    });
    expect(seenOf(known, [pod('first', waiting)], late)).toMatchObject({
      kind: 'ended',
      why: expect.stringContaining('no room'),
    });
    expect(seenOf(undefined, [], late).kind).toBe('ended');
  });
});
