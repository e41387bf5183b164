/** What of the token rules a vote may change; bounds are in the contract. Sources: docs/token.md. Pure. */
import { parseUnits, type TokenParameterChanges, type TokenParameters } from '@iocloud/contracts';

export const defaultParameters: TokenParameters = {
  stakePerGpu: '200',
  multiplierPpm: {},
  cooldownHours: 14 * 24,
  delegationMinPpm: 10_000,
  delegationMaxPpm: 30_000,
  referralPpm: 10_000,
  appealHours: 30 * 24,
  failedProofPpm: 0,
  proposalStake: '1000',
  quorumPpm: 200_000,
  thresholdPpm: 500_000,
  votingHours: 7 * 24,
  executionDelayHours: 48,
};

const million = 1_000_000n;

/** Models are changed one by one: the others keep their multiplier. */
export function changedParameters(before: TokenParameters, changes: TokenParameterChanges): TokenParameters {
  const stated = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  return {
    ...before,
    ...stated,
    multiplierPpm: { ...before.multiplierPpm, ...changes.multiplierPpm },
  };
}

/** What no single bound tells; null: nothing. */
export function parametersFault({ delegationMinPpm, delegationMaxPpm, referralPpm }: TokenParameters): string | null {
  if (delegationMinPpm > delegationMaxPpm) return 'delegationMinPpm is above delegationMaxPpm';
  if (delegationMaxPpm + referralPpm > 1_000_000)
    return 'delegationMaxPpm and referralPpm are more than a whole reward';
  return null;
}

export const multiplierOf = ({ multiplierPpm }: Pick<TokenParameters, 'multiplierPpm'>, model: string): bigint =>
  BigInt((Object.hasOwn(multiplierPpm, model) ? multiplierPpm[model] : undefined) ?? 1_000_000);

/** Least stake on a machine with these accelerators, rounded up to the unit. Smallest units of IO. */
export function minimumStake(parameters: TokenParameters, models: readonly string[]): bigint {
  const each = parseUnits(parameters.stakePerGpu, 'IO') ?? 0n;
  const multiplied = each * models.reduce((sum, model) => sum + multiplierOf(parameters, model), 0n);
  return (multiplied + million - 1n) / million;
}

/** How much of the least stake is there, for placement: 0 to 1; 0 for a machine that needs none. */
export function stakeShare(staked: bigint, minimum: bigint): number {
  if (staked >= minimum) return minimum === 0n ? 0 : 1;
  return Number((staked * million) / minimum) / 1_000_000;
}
