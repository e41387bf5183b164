/** Proposals: their life, and what a vote came to. Pure. */
import type { Ballot, ProposalState, TokenParameters } from '@iocloud/contracts';

/** `void`: what it changes can no longer be, as other votes have changed parameters meanwhile. */
export type ProposalEvent = 'pass' | 'reject' | 'execute' | 'void';

export const proposalTransitions: Record<ProposalState, Partial<Record<ProposalEvent, ProposalState>>> = {
  voting: { pass: 'passed', reject: 'rejected' },
  passed: { execute: 'executed', void: 'void' },
  rejected: {},
  executed: {},
  void: {},
};

const million = 1_000_000n;

/** `quorumPpm` and `thresholdPpm` are those at the proposal. */
export function outcome(
  votes: Readonly<Record<Ballot, bigint>>,
  allStake: bigint,
  { quorumPpm, thresholdPpm }: Pick<TokenParameters, 'quorumPpm' | 'thresholdPpm'>,
): { event: 'pass' | 'reject'; reason: string } {
  const { yes, no, abstain } = votes;
  if ((yes + no + abstain) * million < allStake * BigInt(quorumPpm)) {
    return { event: 'reject', reason: 'too little of all stake has voted' };
  }
  return yes * million > (yes + no) * BigInt(thresholdPpm)
    ? { event: 'pass', reason: '' }
    : { event: 'reject', reason: 'too little of what has voted said yes' };
}
