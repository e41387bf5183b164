import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  afterPayoutEvent,
  batchesOf,
  changesOf,
  computeUnits,
  differenceOf,
  moneyOf,
  mostTransfers,
  outcomeOf,
  type PayoutEvent,
  type PayoutState,
  payoutStates,
  payoutTransitions,
  priorityPrice,
} from './index.js';

const events = [...new Set(payoutStates.flatMap(state => Object.keys(payoutTransitions[state]) as PayoutEvent[]))];

describe('the life of a payout', () => {
  test('moves money only where a posting does, and never from the chain back', () => {
    const postings: Partial<Record<PayoutEvent, [string, string]>> = {
      reserve: ['source', 'payout'],
      finalize: ['payout', 'chain'],
      return: ['payout', 'source'],
    };
    for (const from of payoutStates) {
      for (const [event, to] of Object.entries(payoutTransitions[from]) as [PayoutEvent, PayoutState][]) {
        const moved = [moneyOf(from), moneyOf(to)];
        const place = moneyOf(from);
        expect([from, event, moved]).toEqual([from, event, postings[event] ?? [place, place]]);
      }
    }
  });

  test('whatever happens in whatever order, it is paid or returned at most once, and not both', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 40 }), sequence => {
        let state: PayoutState = 'requested';
        let ends = 0;
        for (const event of sequence) {
          const next = afterPayoutEvent(state, event);
          if (next === null) continue;
          state = next;
          if (event === 'finalize' || event === 'return') ends += 1;
        }
        expect(ends).toBeLessThanOrEqual(1);
        if (['finalized', 'returned', 'cancelled', 'refused'].includes(state)) {
          expect(events.every(event => afterPayoutEvent(state, event) === null)).toBe(true);
        }
      }),
    );
  });

  test('what is signed is neither cancelled nor refused', () => {
    for (const state of ['signed', 'sent'] as const) {
      expect([
        afterPayoutEvent(state, 'cancel'),
        afterPayoutEvent(state, 'refuse'),
        afterPayoutEvent(state, 'sign'),
      ]).toEqual([null, null, null]);
    }
  });
});

const payable = fc.record({
  id: fc.uuid(),
  asset: fc.constantFrom('IO', 'USDC'),
  amount: fc.bigInt({ min: 1n, max: 1_000n }),
  alone: fc.boolean(),
});

test('batches take each payout at most once, of one asset, no more than fit and than there is, in order', () => {
  fc.assert(
    fc.property(fc.array(payable, { maxLength: 60 }), fc.bigInt({ min: 0n, max: 20_000n }), (payables, fund) => {
      const { batches, waiting } = batchesOf(
        payables,
        new Map([
          ['IO', fund],
          ['USDC', fund],
        ]),
      );
      const taken = batches.flat();
      expect(new Set([...taken, ...waiting])).toEqual(new Set(payables));
      expect(taken.length + waiting.length).toBe(payables.length);
      for (const batch of batches) {
        expect(new Set(batch.map(({ asset }) => asset)).size).toBe(1);
        expect(batch.length).toBeLessThanOrEqual(batch.some(({ alone }) => alone) ? 1 : mostTransfers);
      }
      for (const asset of ['IO', 'USDC']) {
        const of = (all: typeof payables) => all.filter(one => one.asset === asset);
        expect(of(taken).reduce((sum, { amount }) => sum + amount, 0n)).toBeLessThanOrEqual(fund);
        // Who waits waits behind all that go: nobody is overtaken.
        expect(
          of(payables)
            .slice(0, of(taken).length)
            .every(one => taken.includes(one)),
        ).toBe(true);
      }
    }),
  );
});

describe('what became of a transaction', () => {
  const signed = { signature: 'ours', nonce: 'n1' };
  test.each([
    ['nothing yet, while its nonce is in force', 'n1', [], { is: 'open' }],
    ['done, once it is seen', 'n2', [{ signature: 'ours', failed: false }], { is: 'finalized' }],
    ['failed for good, once it is seen so', 'n2', [{ signature: 'ours', failed: true }], { is: 'failed' }],
    [
      'impossible, once another has ended its nonce',
      'n2',
      [{ signature: 'x', failed: false }],
      { is: 'superseded', by: 'x' },
    ],
    ['not known, while nothing shows what ended its nonce', 'n2', [], { is: 'unknown' }],
    ['not known, where the node shows no nonce account', null, [], { is: 'unknown' }],
  ] as const)('is %s', (_, nonceNow, carriers, outcome) => {
    expect(outcomeOf(signed, { nonceNow, carriers })).toEqual(outcome);
  });
});

test('a difference is explained by some of what is under way, or is what it is', () => {
  const small = fc.bigInt({ min: 1n, max: 10n ** 12n });
  fc.assert(
    fc.property(
      small,
      fc.array(fc.record({ amount: small, done: fc.boolean() }), { maxLength: 8 }),
      (inBooks, flights) => {
        const done = flights.filter(flight => flight.done).reduce((sum, { amount }) => sum + amount, 0n);
        const inFlight = flights.map(({ amount }) => amount);
        expect(differenceOf({ onChain: inBooks - done, inBooks, inFlight })).toBe(0n);
        expect(differenceOf({ onChain: inBooks + 1n, inBooks, inFlight })).toBe(1n);
      },
    ),
  );
});

test('the price of priority keeps within the budget of a transaction', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 0n, max: 10n ** 9n })),
      fc.nat(6),
      fc.bigInt({ min: 0n, max: 10n ** 9n }),
      (recent, n, most) => {
        const units = computeUnits(n);
        const price = priorityPrice(recent, units, most);
        expect((price * units) / 1_000_000n).toBeLessThanOrEqual(most);
        expect(recent.length === 0 ? price : 0n).toBe(0n);
      },
    ),
  );
});

test('changes are those of our owners, however many accounts and instructions made them', () => {
  const at = (account: string, owner: string, amount: bigint) => ({ account, mint: 'm', owner, amount });
  const before = [at('a', 'us', 5n), at('b', 'them', 9n), at('c', 'us', 1n)];
  const after = [at('a', 'us', 7n), at('b', 'them', 0n), at('c', 'us', 1n), at('d', 'us', 3n)];
  expect(changesOf(before, after, new Set(['us'])).map(({ account, amount }) => [account, amount])).toEqual([
    ['a', 2n],
    ['d', 3n],
  ]);
});
