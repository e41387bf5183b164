import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Evidence,
  halfLifeMs,
  machineReputation,
  reputation,
  type Standing,
  unknown,
  voice,
  withEvidence,
  withOneVoice,
} from './reputation.js';

const evidence: fc.Arbitrary<Evidence> = fc.oneof(
  fc.constantFrom<Evidence>(
    { kind: 'attemptEnded' },
    { kind: 'attemptInterrupted' },
    { kind: 'rayNodeLost' },
    { kind: 'drained' },
  ),
  fc.record({ kind: fc.constant('rated' as const), stars: fc.integer({ min: 1, max: 5 }) }),
);
const history = fc
  .array(fc.tuple(evidence, fc.integer({ min: 0, max: 3 * halfLifeMs })), { maxLength: 30 })
  .map(steps => steps.reduce(after, { standing: unknown, nowMs: 1 }));

function after({ standing, nowMs }: { standing: Standing; nowMs: number }, [next, laterMs]: [Evidence, number]) {
  return { standing: withEvidence(standing, next, nowMs + laterMs), nowMs: nowMs + laterMs };
}

describe('reputation', () => {
  test('lies between 0 and 1, whatever happened', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        expect(reputation(standing, nowMs)).toBeGreaterThan(0);
        expect(reputation(standing, nowMs)).toBeLessThan(1);
      }),
    );
  });

  test('rises with an attempt that ended and five stars; falls with an interruption, a lost Ray node, a drain and one star', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        const before = reputation(standing, nowMs);
        const then = (next: Evidence) => reputation(withEvidence(standing, next, nowMs), nowMs);
        expect(then({ kind: 'attemptEnded' })).toBeGreaterThan(before);
        expect(then({ kind: 'rated', stars: 5 })).toBeGreaterThan(before);
        expect(then({ kind: 'attemptInterrupted' })).toBeLessThan(before);
        expect(then({ kind: 'rayNodeLost' })).toBeLessThan(before);
        expect(then({ kind: 'attemptInterrupted' })).toBeLessThan(then({ kind: 'rayNodeLost' }));
        expect(then({ kind: 'drained' })).toBeLessThan(before);
        expect(then({ kind: 'rayNodeLost' })).toBeLessThan(then({ kind: 'drained' }));
        expect(then({ kind: 'rated', stars: 1 })).toBeLessThan(before);
      }),
    );
  });

  test('is the same whether evidence is told one by one or summed up by its age', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 * halfLifeMs }), { minLength: 1, maxLength: 20 }), times => {
        const ordered = [...times].sort((a, b) => a - b);
        const nowMs = 3 * halfLifeMs;
        const told = ordered.reduce((standing, at) => withEvidence(standing, { kind: 'attemptEnded' }, at), unknown);
        const good = ordered.reduce((sum, at) => sum + 0.5 ** ((nowMs - at) / halfLifeMs), 0);
        expect(reputation(told, nowMs)).toBeCloseTo((4 + good) / (5 + good), 9);
      }),
    );
  });

  test('is the same in whichever order the evidence comes in', () => {
    const told = fc.array(fc.tuple(evidence, fc.integer({ min: 0, max: 3 * halfLifeMs })), {
      minLength: 2,
      maxLength: 20,
    });
    const shuffled = told.chain(list =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        const nowMs = 3 * halfLifeMs;
        const sum = (list: typeof one) =>
          list.reduce((standing, [next, atMs]) => withEvidence(standing, next, atMs), unknown);
        expect(reputation(sum(one), nowMs)).toBeCloseTo(reputation(sum(other), nowMs), 9);
        expect(sum(one).asOfMs).toBe(sum(other).asOfMs);
      }),
    );
  });

  test('of who is not heard of any more returns to that of a stranger', () => {
    fc.assert(
      fc.property(history, ({ standing, nowMs }) => {
        const stranger = reputation(unknown, nowMs);
        const gap = (at: number) => Math.abs(reputation(standing, at) - stranger);
        expect(gap(nowMs + halfLifeMs)).toBeLessThanOrEqual(gap(nowMs) + 1e-12);
        expect(gap(nowMs + 60 * halfLifeMs)).toBeCloseTo(0, 9);
      }),
    );
  });

  test('has an example: twenty successes and one interruption today make 0.83, and the interruption alone 0.44', () => {
    let standing = withEvidence(unknown, { kind: 'attemptInterrupted' }, 0);
    expect(reputation(standing, 0)).toBeCloseTo(4 / 9, 9);
    for (let count = 0; count < 20; count += 1) standing = withEvidence(standing, { kind: 'attemptEnded' }, 0);
    expect(reputation(standing, 0)).toBeCloseTo(24 / 29, 9);
  });

  test('of a machine lies between 0 and 1, and moves with what is said of it and of its supplier’s others', () => {
    fc.assert(
      fc.property(history, history, evidence, (own, rest, next) => {
        const nowMs = Math.max(own.nowMs, rest.nowMs);
        const together = (a: Standing, b: Standing): Standing => {
          const worth = ({ asOfMs }: Standing) => 0.5 ** ((nowMs - asOfMs) / halfLifeMs);
          return {
            good: a.good * worth(a) + b.good * worth(b),
            bad: a.bad * worth(a) + b.bad * worth(b),
            asOfMs: nowMs,
          };
        };
        const before = machineReputation(own.standing, together(own.standing, rest.standing), nowMs);
        expect(before).toBeGreaterThan(0);
        expect(before).toBeLessThan(1);
        const others = withEvidence(rest.standing, next, nowMs);
        const after = machineReputation(own.standing, together(own.standing, others), nowMs);
        const alone = reputation(others, nowMs) - reputation(rest.standing, nowMs);
        if (Math.abs(alone) > 1e-6) expect(Math.sign(after - before)).toBe(Math.sign(alone));
      }),
    );
  });

  test('of a machine that is its supplier’s only one is what is known of itself, and of a new one that of the others', () => {
    const bad = withEvidence(unknown, { kind: 'attemptInterrupted' }, 0);
    expect(machineReputation(bad, bad, 0)).toBeCloseTo(4 / 9, 9);
    expect(machineReputation(unknown, bad, 0)).toBeCloseTo(4 / 9, 9);
    expect(machineReputation(unknown, unknown, 0)).toBe(0.8);
  });
});

describe('the voice of one renter', () => {
  const told = fc.record({
    mine: fc.boolean(),
    evidence,
    laterMs: fc.integer({ min: 0, max: halfLifeMs / 10 }),
  });
  const hear = (notes: { mine: boolean; evidence: Evidence; laterMs: number }[]) => {
    let nowMs = 1;
    let standing = unknown;
    let others = unknown;
    const shares = { mine: unknown, theirs: unknown };
    for (const note of notes) {
      nowMs += note.laterMs;
      const who = note.mine ? 'mine' : 'theirs';
      const heard = withOneVoice({ standing, share: shares[who] }, note.evidence, nowMs);
      standing = heard.standing;
      shares[who] = heard.share;
      if (!note.mine) others = heard.share;
    }
    return { standing, share: shares.mine, others, nowMs };
  };

  test('weighs no more than its due, whatever it tells, and takes nothing from what others told', () => {
    fc.assert(
      fc.property(fc.array(told, { maxLength: 80 }), notes => {
        const { standing, share, others, nowMs } = hear(notes);
        expect(share.good + share.bad).toBeLessThanOrEqual(voice + 1e-9);
        const worth = 0.5 ** ((nowMs - others.asOfMs) / halfLifeMs);
        const mine = 0.5 ** ((nowMs - share.asOfMs) / halfLifeMs);
        expect(standing.good).toBeCloseTo(others.good * worth + share.good * mine, 6);
        expect(standing.bad).toBeCloseTo(others.bad * worth + share.bad * mine, 6);
      }),
    );
  });

  test('that says only bad things of a supplier well known to others does it little harm', () => {
    const renters = Array.from({ length: 10 }, (_, index) => index);
    let standing = unknown;
    for (const _ of renters) {
      let share = unknown;
      for (let job = 0; job < 30; job += 1)
        ({ standing, share } = withOneVoice({ standing, share }, { kind: 'attemptEnded' }, 0));
    }
    let share = unknown;
    for (let job = 0; job < 1_000; job += 1)
      ({ standing, share } = withOneVoice({ standing, share }, { kind: 'rayNodeLost' }, 0));
    expect(reputation(standing, 0)).toBeGreaterThan(0.9);
  });

  test('is as it tells of late: a machine that begins to fail is not saved by what it did for the same renter before', () => {
    let [standing, share] = [unknown, unknown];
    const tell = (kind: 'attemptEnded' | 'attemptInterrupted', times: number) => {
      for (let count = 0; count < times; count += 1)
        ({ standing, share } = withOneVoice({ standing, share }, { kind }, 0));
      return reputation(standing, 0);
    };
    expect(tell('attemptEnded', 1_000)).toBeGreaterThan(0.95);
    expect(tell('attemptInterrupted', 10)).toBeLessThan(0.35);
  });

  test('that is not loud yet counts as all evidence does', () => {
    const one = withOneVoice({ standing: unknown, share: unknown }, { kind: 'rated', stars: 2 }, 5);
    expect(one.standing).toEqual(withEvidence(unknown, { kind: 'rated', stars: 2 }, 5));
  });
});

test('an accepted appeal takes back what a failed challenge counted for, however late it comes', () => {
  const evidence = { at: 1_000, later: 1_000 + 10 * halfLifeMs };
  const before = withEvidence(unknown, { kind: 'attemptEnded' }, evidence.at);
  let held = { standing: before, share: unknown };
  held = withOneVoice(held, { kind: 'challengeFailed' }, evidence.at);
  expect(held.standing.bad).toBe(8);
  held = { ...held, standing: withEvidence(held.standing, { kind: 'attemptEnded' }, evidence.later) };
  held = withOneVoice(held, { kind: 'challengeVoided' }, evidence.at);
  expect(held.standing.bad).toBeCloseTo(0, 9);
  expect(held.share.bad).toBeCloseTo(0, 9);
  expect(held.standing.good).toBeCloseTo(1 + 2 ** -10, 9);
});
