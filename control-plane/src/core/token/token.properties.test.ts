/** Properties of what is divided: nothing is made, nothing is lost, and no order matters. */
import type { NodeId, TenantId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  changedParameters,
  defaultParameters,
  iosdUnits,
  judge,
  type MachineFacts,
  minimumStake,
  outcome,
  parametersFault,
  slashParts,
  splitHour,
  stakeShare,
} from './index.js';

const tenant = fc.nat(6).map(n => `tn_${n}` as TenantId);
const amount = fc.oneof(fc.bigInt({ min: 0n, max: 1_000n }), fc.bigInt({ min: 0n, max: 10n ** 14n }));
const models = ['h100-sxm', 'a100-80-sxm', 'rtx-4090'];
const parameters = fc
  .record({
    multipliers: fc.dictionary(fc.constantFrom(...models), fc.integer({ min: 10_000, max: 100_000_000 })),
    referralPpm: fc.integer({ min: 0, max: 100_000 }),
    stakePerGpu: fc.constantFrom('1', '100', '200'),
  })
  .map(({ multipliers, ...rest }) => changedParameters(defaultParameters, { ...rest, multiplierPpm: multipliers }));
const machine = fc.record({
  supplierId: tenant,
  devices: fc.array(fc.record({ uuid: fc.string(), model: fc.constantFrom(...models), verified: fc.boolean() }), {
    maxLength: 8,
  }),
  onlineSeconds: fc.integer({ min: 0, max: 3_600 }),
  ownStake: amount,
  delegations: fc.uniqueArray(fc.record({ stakerId: tenant, amount }), { maxLength: 4, selector: d => d.stakerId }),
  delegationPpm: fc.option(fc.integer({ min: 10_000, max: 30_000 })),
  referrerId: fc.option(tenant),
});
const machines = fc
  .array(machine, { maxLength: 12 })
  .map(all => all.map((each, index): MachineFacts => ({ ...each, nodeId: `nd_${index}` as NodeId })));
const sum = (amounts: bigint[]) => amounts.reduce((total, each) => total + each, 0n);

describe('the split of an hour', () => {
  test('gives all of it or nothing: rewards and rounding are what is minted, and rounding is below a unit a machine', () => {
    fc.assert(
      fc.property(amount, machines, parameters, (total, found, rules) => {
        const split = splitHour(total, found, rules);
        expect(sum(split.rewards.map(reward => reward.amount)) + split.rounding).toBe(split.minted);
        expect([0n, total]).toContain(split.minted);
        expect(split.rounding >= 0n && split.rounding <= BigInt(found.length)).toBe(true);
        expect(split.rewards.every(reward => reward.amount > 0n)).toBe(true);
        expect(split.minted > 0n).toBe(total > 0n && split.machines.some(({ weight }) => weight > 0n));
      }),
    );
  });

  test('is the same in whatever order the machines come', () => {
    const shuffled = machines.chain(found =>
      fc.shuffledSubarray(found, { minLength: found.length }).map(other => ({ found, other })),
    );
    fc.assert(
      fc.property(amount, shuffled, parameters, (total, { found, other }, rules) => {
        const [one, two] = [splitHour(total, found, rules), splitHour(total, other, rules)];
        expect([two.minted, two.rounding, two.rewards]).toEqual([one.minted, one.rounding, one.rewards]);
      }),
    );
  });

  test('gives nothing to a machine without proof, without its stake, or away', () => {
    fc.assert(
      fc.property(machine, parameters, (found, rules) => {
        const judged = judge({ ...found, nodeId: 'nd_0' as NodeId }, rules);
        const { devices, onlineSeconds } = found;
        const least = minimumStake(
          rules,
          devices.map(({ model }) => model),
        );
        const isDue = devices.some(({ verified }) => verified) && onlineSeconds > 0 && judged.stake >= least;
        expect([judged.weight > 0n, judged.refusal === '']).toEqual([isDue, isDue]);
      }),
    );
  });

  test('leaves third-party stakers between the least and the most part, less rounding', () => {
    const one = {
      nodeId: 'nd_0' as NodeId,
      supplierId: 'tn_supplier' as TenantId,
      devices: [{ uuid: 'GPU-0', model: 'h100-sxm', verified: true }],
      onlineSeconds: 3_600,
      ownStake: 20_000_000_000n,
      referrerId: null,
    };
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 10n ** 14n }),
        fc.option(fc.integer({ min: 0, max: 1_000_000 })),
        fc.uniqueArray(fc.record({ stakerId: tenant, amount: fc.bigInt({ min: 1n, max: 10n ** 12n }) }), {
          minLength: 1,
          maxLength: 5,
          selector: d => d.stakerId,
        }),
        (total, delegationPpm, delegations) => {
          const { rewards } = splitHour(total, [{ ...one, delegationPpm, delegations }], defaultParameters);
          const theirs = sum(rewards.filter(({ kind }) => kind === 'delegation').map(reward => reward.amount));
          expect(theirs * 1_000_000n <= total * 30_000n).toBe(true);
          expect((theirs + BigInt(delegations.length) + 1n) * 1_000_000n >= total * 10_000n).toBe(true);
        },
      ),
    );
  });
});

test('a slash takes exactly what it says, from each in proportion, and never more than is there', () => {
  const stakes = fc
    .uniqueArray(fc.record({ key: fc.string(), amount }), { selector: ({ key }) => key, maxLength: 8 })
    .chain(all => fc.shuffledSubarray(all, { minLength: all.length }).map(shuffled => ({ all, shuffled })));
  fc.assert(
    fc.property(amount, stakes, (wanted, { all, shuffled }) => {
      const parts = slashParts(wanted, all);
      const there = sum(all.map(stake => stake.amount));
      expect(sum(parts.map(part => part.amount))).toBe(wanted < there ? wanted : there);
      for (const part of parts) {
        expect(part.amount > 0n && part.amount <= part.of.amount).toBe(true);
        const due = (wanted < there ? wanted : there) * part.of.amount;
        const off = part.amount * there - due;
        expect(off < there && off > -there).toBe(true);
      }
      expect(slashParts(wanted, shuffled)).toEqual(parts);
    }),
  );
});

test('IOSD is never worth more than the IO that was burned for it, and less by below a unit', () => {
  const rate = fc.bigInt({ min: 1n, max: 10n ** 24n });
  fc.assert(
    fc.property(amount, rate, (burned, attoUsdPerIo) => {
      const minted = iosdUnits(burned, attoUsdPerIo);
      const worth = burned * attoUsdPerIo;
      const attoPerUnit = 10n ** 20n;
      expect(minted * attoPerUnit <= worth && worth < (minted + 1n) * attoPerUnit).toBe(true);
    }),
  );
});

test('100 IO at 0.151 USD are 15.100000 IOSD; what is left of a unit is nobody’s', () => {
  expect(iosdUnits(10_000_000_000n, 151_000_000_000_000_000n)).toBe(15_100_000n);
  expect(iosdUnits(1_234_567n, 151_000_000_000_000_000n)).toBe(1_864n);
});

test('the least stake is that of each model, rounded up, and a part of it is a share below one', () => {
  const rules = changedParameters(defaultParameters, { multiplierPpm: { 'h100-sxm': 2_500_000, 'rtx-4090': 333_333 } });
  expect(minimumStake(rules, ['h100-sxm', 'h100-sxm', 'a100-80-sxm', 'rtx-4090'])).toBe(126_666_660_000n);
  expect(minimumStake(rules, [])).toBe(0n);
  expect([stakeShare(5n, 10n), stakeShare(10n, 10n), stakeShare(99n, 10n), stakeShare(0n, 0n)]).toEqual([0.5, 1, 1, 0]);
});

test.each([
  ['too few', { yes: 19n, no: 0n, abstain: 0n }, 'reject', 'too little of all stake'],
  ['abstentions count for the quorum', { yes: 1n, no: 0n, abstain: 19n }, 'pass', ''],
  ['as much no as yes', { yes: 50n, no: 50n, abstain: 0n }, 'reject', 'said yes'],
  ['more yes than no', { yes: 51n, no: 49n, abstain: 0n }, 'pass', ''],
  ['nobody', { yes: 0n, no: 0n, abstain: 0n }, 'reject', 'too little'],
])('a vote: %s', (_what, votes, event, reason) => {
  expect(outcome(votes, 100n, defaultParameters)).toEqual({ event, reason: expect.stringContaining(reason) });
});

test('nobody has staked, nobody can decide', () => {
  expect(outcome({ yes: 0n, no: 0n, abstain: 0n }, 0n, defaultParameters).event).toBe('reject');
});

test('parameters that contradict each other are told apart', () => {
  expect(parametersFault(defaultParameters)).toBeNull();
  expect(parametersFault({ ...defaultParameters, delegationMinPpm: 40_000 })).toMatch('above');
  expect(parametersFault({ ...defaultParameters, delegationMaxPpm: 950_000, referralPpm: 60_000 })).toMatch(
    'more than',
  );
});
