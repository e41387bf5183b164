import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type LocalLease, type LocalPhase, plan } from './plan.js';

const id = fc.constantFrom<string[]>('a', 'b', 'c', 'd', 'e', 'f');
const phase = fc.constantFrom<LocalPhase>('starting', 'ready', 'stopping', 'exited');
const local = fc.uniqueArray(fc.record({ leaseId: id, phase }), { selector: lease => lease.leaseId });
const world = fc.record({ desired: fc.array(id), local, ended: fc.uniqueArray(id) });

/** What the plan does to the machine, once all of it has come to its end. */
function settle(here: LocalLease[], ended: Set<string>, desired: string[]): { here: LocalLease[]; ended: Set<string> } {
  const todo = plan(desired, here, leaseId => ended.has(leaseId));
  const started = todo.start.map(leaseId => ({ leaseId, phase: 'ready' as const }));
  const after = here
    .map(lease =>
      todo.stop.includes(lease.leaseId) || lease.phase === 'stopping' ? { ...lease, phase: 'exited' as const } : lease,
    )
    .filter(lease => !todo.wipe.includes(lease.leaseId));
  return { here: [...after, ...started], ended: new Set([...ended, ...todo.wipe]) };
}

describe('the plan of leases', () => {
  test('starts what is wanted and new, ends what is unwanted, wipes what is over and unwanted', () => {
    const here: LocalLease[] = [
      { leaseId: 'kept', phase: 'ready' },
      { leaseId: 'extra', phase: 'ready' },
      { leaseId: 'young', phase: 'starting' },
      { leaseId: 'ending', phase: 'stopping' },
      { leaseId: 'over', phase: 'exited' },
      { leaseId: 'failed', phase: 'exited' },
    ];
    const todo = plan(['kept', 'new', 'failed', 'old'], here, leaseId => leaseId === 'old');
    expect(todo).toEqual({ start: ['new'], stop: ['extra', 'young'], wipe: ['over'], over: ['old'] });
  });

  test('a lease that is here or has been here is never started', () => {
    fc.assert(
      fc.property(world, ({ desired, local: here, ended }) => {
        const { start } = plan(desired, here, leaseId => ended.includes(leaseId));
        for (const leaseId of start) {
          expect(ended).not.toContain(leaseId);
          expect(here.map(lease => lease.leaseId)).not.toContain(leaseId);
        }
        expect(new Set(start).size).toBe(start.length);
      }),
    );
  });

  test('a lease that is wanted is never ended nor wiped', () => {
    fc.assert(
      fc.property(world, ({ desired, local: here, ended }) => {
        const { stop, wipe } = plan(desired, here, leaseId => ended.includes(leaseId));
        for (const leaseId of [...stop, ...wipe]) expect(desired).not.toContain(leaseId);
      }),
    );
  });

  test('every wanted lease is here, or to be started, or told to be over', () => {
    fc.assert(
      fc.property(world, ({ desired, local: here, ended }) => {
        const { start, over } = plan(desired, here, leaseId => ended.includes(leaseId));
        const known = new Set([...here.map(lease => lease.leaseId), ...start, ...over]);
        for (const leaseId of desired) expect(known).toContain(leaseId);
      }),
    );
  });

  test('carried out twice, it comes to rest with nothing unwanted left', () => {
    fc.assert(
      fc.property(world, ({ desired, local: here, ended }) => {
        const once = settle(here, new Set(ended), desired);
        const twice = settle(once.here, once.ended, desired);
        const rest = plan(desired, twice.here, leaseId => twice.ended.has(leaseId));
        expect([...rest.start, ...rest.stop, ...rest.wipe]).toEqual([]);
        expect(twice.here.every(lease => desired.includes(lease.leaseId))).toBe(true);
      }),
    );
  });
});
