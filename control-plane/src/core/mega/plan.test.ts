import type { ClusterId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Cell, type MegaWish, megaEvent, megaTransitions, planCells } from './index.js';

const nowMs = 1_000_000;
const cell = (ordinal: number, more: Partial<Cell> = {}): Cell => ({
  id: `cl_${ordinal}` as ClusterId,
  ordinal,
  revision: 1,
  health: 'ready',
  jobs: 0,
  failingSinceMs: null,
  leavesByMs: null,
  isGoing: false,
  ...more,
});
const wish = (more: Partial<MegaWish> = {}): MegaWish => ({
  desired: 'running',
  cells: 3,
  revision: 1,
  maxUnavailable: 1,
  giveUpAfterMs: 60_000,
  ...more,
});
const three = [cell(0), cell(1), cell(2)];

const wishes = fc.record({
  desired: fc.constantFrom('running' as const, 'running' as const, 'deleted' as const),
  cells: fc.integer({ min: 0, max: 8 }),
  revision: fc.integer({ min: 1, max: 3 }),
  maxUnavailable: fc.integer({ min: 1, max: 4 }),
  giveUpAfterMs: fc.constant(60_000),
});
const cells = fc
  .array(
    fc.record({
      revision: fc.integer({ min: 1, max: 3 }),
      health: fc.constantFrom('ready' as const, 'starting' as const, 'ended' as const),
      jobs: fc.integer({ min: 0, max: 3 }),
      failingSinceMs: fc.option(fc.constantFrom(nowMs - 70_000, nowMs - 1_000)),
      leavesByMs: fc.option(fc.constantFrom(nowMs - 1, nowMs + 30_000)),
      isGoing: fc.boolean(),
    }),
    { maxLength: 10 },
  )
  .map(all => all.map((more, ordinal) => cell(ordinal * 2, more)));

describe('the plan', () => {
  test('makes what is missing, in the places that are free', () => {
    expect(planCells(wish(), [cell(1)], nowMs)).toMatchObject({ create: [0, 2], leave: [], remove: [] });
    expect(planCells(wish(), three, nowMs)).toMatchObject({ create: [], leave: [], remove: [] });
  });

  test('waits with a place until its cell is deleted', () => {
    expect(planCells(wish(), [cell(0), cell(1), cell(2, { isGoing: true })], nowMs).create).toEqual([]);
  });

  test('scales down by what is missed least', () => {
    const busy = [cell(0, { jobs: 2 }), cell(1), cell(2, { jobs: 1 })];
    expect(planCells(wish({ cells: 1 }), busy, nowMs).leave.map(({ id }) => id)).toEqual(['cl_1', 'cl_2']);
    const starting = [cell(0), cell(1, { health: 'starting' }), cell(2)];
    expect(planCells(wish({ cells: 2 }), starting, nowMs).leave).toEqual([{ id: 'cl_1', why: 'scaled down' }]);
  });

  test('takes down no more at once than an update may, and waits for what comes up', () => {
    const { leave } = planCells(wish({ revision: 2 }), three, nowMs);
    expect(leave).toEqual([{ id: 'cl_0', why: 'replaced by an update' }]);
    const half = [cell(0, { revision: 2, health: 'starting' }), cell(1), cell(2)];
    expect(planCells(wish({ revision: 2 }), half, nowMs).leave).toEqual([]);
  });

  test('deletes a cell that leaves once its jobs have gone, or its time', () => {
    const leaving = (more: Partial<Cell>) => [cell(0), cell(1), cell(2, { leavesByMs: nowMs + 5, ...more })];
    expect(planCells(wish(), leaving({ jobs: 1 }), nowMs)).toMatchObject({ remove: [], lookAtMs: nowMs + 5 });
    expect(planCells(wish(), leaving({ jobs: 0 }), nowMs).remove).toEqual(['cl_2']);
    expect(planCells(wish(), leaving({ jobs: 1 }), nowMs + 5).remove).toEqual(['cl_2']);
  });

  test('replaces a cell that somebody ended, and one that does not come up on its machine', () => {
    expect(planCells(wish(), [cell(0), cell(1), cell(2, { health: 'ended' })], nowMs).remove).toEqual(['cl_2']);
    const failing = (since: number) => [cell(0), cell(1), cell(2, { health: 'starting', failingSinceMs: since })];
    expect(planCells(wish(), failing(nowMs - 59_000), nowMs)).toMatchObject({ leave: [], lookAtMs: nowMs + 1_000 });
    expect(planCells(wish(), failing(nowMs - 60_000), nowMs).leave).toEqual([{ id: 'cl_2', why: 'failed' }]);
  });

  test('never takes away a cell that takes jobs beyond the budget, but to scale down', () => {
    fc.assert(
      fc.property(wishes, cells, (asked, all) => {
        fc.pre(asked.desired === 'running');
        const { leave } = planCells(asked, all, nowMs);
        const updated = leave.filter(({ why }) => why === 'replaced by an update');
        const isReady = ({ id }: { id: ClusterId }) => all.find(each => each.id === id)?.health === 'ready';
        const standing = all.filter(each => each.health === 'ready' && each.leavesByMs === null && !each.isGoing);
        if (!updated.some(isReady)) return;
        expect(standing.length - leave.filter(isReady).length).toBeGreaterThanOrEqual(
          asked.cells - asked.maxUnavailable,
        );
      }),
    );
  });

  test('never has more cells than wanted made, nor two in one place', () => {
    fc.assert(
      fc.property(wishes, cells, (asked, all) => {
        const { create } = planCells(asked, all, nowMs);
        expect(all.length + create.length).toBeLessThanOrEqual(Math.max(all.length, asked.cells));
        const places = [...all.map(({ ordinal }) => ordinal), ...create];
        expect(new Set(places).size).toBe(places.length);
      }),
    );
  });

  test('comes to as many cells of the newest revision as wanted, from wherever it starts, and stays there', () => {
    fc.assert(
      fc.property(wishes, cells, fc.infiniteStream(fc.nat()), (asked, start, random) => {
        let all = start;
        let made = 1_000;
        let ready = 0;
        for (let round = 0; round < 100; round += 1) {
          const at = nowMs + round * 1_000;
          const plan = planCells(asked, all, at);
          const isDone =
            plan.create.length + plan.leave.length + plan.remove.length === 0 && !all.some(each => each.isGoing);
          if (isDone && all.every(({ health }) => health === 'ready') && !all.some(each => each.leavesByMs !== null))
            break;
          const leaving = new Set(plan.leave.map(({ id }) => id));
          const going = new Set(plan.remove);
          all = all
            .filter(({ isGoing }) => !isGoing || random.next().value % 2 === 0)
            .map(each => ({ ...each, isGoing: each.isGoing || going.has(each.id) }))
            .map(each => (leaving.has(each.id) ? { ...each, leavesByMs: at + 10_000 } : each))
            .map(each => (each.health === 'starting' && random.next().value % 2 === 0 ? up(each) : each));
          for (const ordinal of plan.create) {
            made += 1;
            const { revision } = asked;
            all = [...all, cell(ordinal, { id: `cl_new${made}` as ClusterId, revision, health: 'starting' })];
          }
          ready = all.filter(each => each.health === 'ready' && each.revision === asked.revision).length;
        }
        if (asked.desired === 'deleted') expect(all).toEqual([]);
        else expect([all.length, asked.cells === 0 ? 0 : ready]).toEqual([asked.cells, asked.cells]);
      }),
    );
  });

  const up = (each: Cell): Cell => ({ ...each, health: 'ready', failingSinceMs: null });
});

describe('the life', () => {
  const facts = { desired: 'running' as const, cellsWanted: 2, cellsReady: 2, cellsLeft: 2 };

  test('is ready with all cells, degraded with fewer, and over with none left', () => {
    expect(megaEvent('pending', { ...facts, cellsReady: 1 })).toBeNull();
    expect(megaEvent('pending', facts)).toBe('complete');
    expect(megaEvent('ready', { ...facts, cellsReady: 1 })).toBe('short');
    expect(megaEvent('degraded', facts)).toBe('complete');
    expect(megaEvent('degraded', { ...facts, desired: 'deleted' })).toBe('deleteAsked');
    expect(megaEvent('deleting', { ...facts, desired: 'deleted' })).toBeNull();
    expect(megaEvent('deleting', { ...facts, desired: 'deleted', cellsLeft: 0 })).toBe('released');
  });

  test('ends where it ends', () => expect(megaTransitions.deleted).toEqual({}));
});
