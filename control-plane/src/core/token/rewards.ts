/** Who gets what of an hour's emission. docs/token.md says the same in words, with an example. Pure. */
import type { NodeId, RewardKind, TenantId, TokenParameters } from '@iocloud/contracts';
import { minimumStake, multiplierOf } from './parameters.js';
import { roundedShares, sumOf } from './shares.js';

const million = 1_000_000n;

/** A machine in an hour, as it was found. */
export interface MachineFacts {
  nodeId: NodeId;
  supplierId: TenantId;
  devices: readonly { uuid: string; model: string; verified: boolean }[];
  /** Of 3,600. */
  onlineSeconds: number;
  /** Its supplier's own, and third parties'; smallest units of IO. */
  ownStake: bigint;
  delegations: readonly { stakerId: TenantId; amount: bigint }[];
  /** What its supplier gives third-party stakers, millionths; null: it takes none. */
  delegationPpm: number | null;
  referrerId: TenantId | null;
}

export interface Judged {
  machine: MachineFacts;
  stake: bigint;
  minimum: bigint;
  weight: bigint;
  /** Why it has no weight; empty: it has. */
  refusal: string;
}

/** Weight: the multipliers of its verified accelerators × the seconds that it was online. */
export function judge(machine: MachineFacts, parameters: TokenParameters): Judged {
  const { devices, onlineSeconds, ownStake, delegations } = machine;
  const stake = ownStake + sumOf(delegations.map(({ amount }) => amount));
  const models = devices.map(({ model }) => model);
  const minimum = minimumStake(parameters, models);
  const verified = devices.filter(device => device.verified).map(({ model }) => model);
  const refusal = refusalOf();
  const multiplier = sumOf(verified.map(model => multiplierOf(parameters, model)));
  return { machine, stake, minimum, weight: refusal === '' ? multiplier * BigInt(onlineSeconds) : 0n, refusal };

  function refusalOf(): string {
    if (devices.length === 0) return 'it has no accelerator';
    if (verified.length === 0) return 'none of its accelerators has proven what it is in this hour';
    if (onlineSeconds <= 0) return 'it was not online';
    return stake < minimum ? 'its stake is below the least for its accelerators' : '';
  }
}

export interface Reward {
  tenantId: TenantId;
  kind: RewardKind;
  /** Null: of a referral, which does not say whose machines brought it. */
  nodeId: NodeId | null;
  amount: bigint;
}
export interface Split {
  /** All that is given, with `rounding`: the hour's amount, or 0 where nobody is eligible. */
  minted: bigint;
  rounding: bigint;
  /** By machine, in the order in which they came. */
  machines: (Judged & { reward: bigint })[];
  rewards: Reward[];
}

export function splitHour(amount: bigint, machines: readonly MachineFacts[], parameters: TokenParameters): Split {
  const judged = machines.map(machine => judge(machine, parameters));
  const shares = roundedShares(
    amount,
    judged.map(({ weight }) => weight),
  );
  const rewarded = judged.map((each, index) => ({ ...each, reward: shares[index] ?? 0n }));
  const given = sumOf(shares);
  const minted = judged.some(({ weight }) => weight > 0n) ? amount : 0n;
  const rewards = rewarded.filter(({ reward }) => reward > 0n).flatMap(each => partsOf(each, parameters));
  return { minted, rounding: minted - given, machines: rewarded, rewards: merged(rewards) };
}

/** What rounding leaves of the third parties' part stays with the supplier. */
function partsOf({ machine, reward }: Judged & { reward: bigint }, parameters: TokenParameters): Reward[] {
  const { nodeId, supplierId, delegations, delegationPpm, referrerId } = machine;
  const { delegationMinPpm, delegationMaxPpm, referralPpm } = parameters;
  // A supplier's wish of before a vote is brought within the bounds in force; stake that it no longer wants is paid for still.
  const ppm = Math.min(Math.max(delegationPpm ?? 0, delegationMinPpm), delegationMaxPpm);
  const weights = delegations.map(({ amount }) => amount);
  const delegated = roundedShares((reward * BigInt(ppm)) / million, weights);
  const referral = referrerId === null ? 0n : (reward * BigInt(referralPpm)) / million;
  return [
    { tenantId: supplierId, kind: 'machine', nodeId, amount: reward - sumOf(delegated) - referral },
    ...delegations.map(
      ({ stakerId }, index): Reward => ({
        tenantId: stakerId,
        kind: 'delegation',
        nodeId,
        amount: delegated[index] ?? 0n,
      }),
    ),
    ...(referrerId === null
      ? []
      : [{ tenantId: referrerId, kind: 'referral', nodeId: null, amount: referral } as const]),
  ];
}

/** One for each receiver, kind and machine, none of nothing, in one order whatever the order of the machines. */
function merged(rewards: readonly Reward[]): Reward[] {
  const all = new Map<string, Reward>();
  for (const reward of rewards) {
    const key = [reward.tenantId, reward.kind, reward.nodeId ?? ''].join(' ');
    all.set(key, { ...reward, amount: (all.get(key)?.amount ?? 0n) + reward.amount });
  }
  return [...all]
    .filter(([, { amount }]) => amount > 0n)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, reward]) => reward);
}
