/** Token rules as they are seen from outside: emission, stakes, slashing, IOSD, proposals. docs/token.md has the rules. */
import { z } from 'zod';
import { parseUnits } from './amounts.js';
import { nodeId, proposalId, slashId, tenantId, unstakingId, verificationId } from './ids.js';
import { acceleratorSlug } from './prices.js';

const ppm = z.int().min(0).max(1_000_000);
const inIo = z.string().describe('IO, with all 8 decimals');
const positiveIo = z
  .string()
  .regex(/^(?=[0.]*[1-9])\d{1,9}(\.\d{1,8})?$/, 'expected an amount of IO above zero such as "12.5"');
const time = z.iso.datetime();
const words = (most: number) => z.string().trim().min(1).max(most);

const ioBetween = (least: string, most: string) =>
  positiveIo.refine(
    text => between(parseUnits(text, 'IO'), parseUnits(least, 'IO'), parseUnits(most, 'IO')),
    `from ${least} to ${most} IO`,
  );
const between = (value: bigint | null, least: bigint | null, most: bigint | null) =>
  value !== null && least !== null && most !== null && value >= least && value <= most;

/** What a vote may change, and within which bounds. Neither the cap nor the schedule is in it. */
const parameterShape = {
  stakePerGpu: ioBetween('1', '100000').describe('least stake for one accelerator, IO, before its multiplier'),
  multiplierPpm: z
    .record(acceleratorSlug, z.int().min(10_000).max(100_000_000))
    .describe('by model, millionths; of stake and of reward. A model that is not named has 1,000,000'),
  cooldownHours: z.int().min(24).max(8_760).describe('from unstaking until it can be spent'),
  delegationMinPpm: ppm.describe('least part of a machine’s reward that goes to third-party stakers, millionths'),
  delegationMaxPpm: ppm.describe('most of it'),
  referralPpm: z
    .int()
    .min(0)
    .max(100_000)
    .describe('part of a machine’s reward that goes to who referred its supplier'),
  appealHours: z.int().min(168).max(8_760).describe('from a slash until it is burned'),
  failedProofPpm: ppm.describe('part of the stake that a failed proof costs by itself, millionths; 0: none'),
  proposalStake: ioBetween('1', '10000000').describe('stake that it takes to propose'),
  quorumPpm: ppm.min(10_000).describe('of all stake, what has to vote'),
  thresholdPpm: ppm.min(500_000).max(900_000).describe('of yes and no, what yes has to be more than'),
  votingHours: z.int().min(24).max(2_160),
  executionDelayHours: z.int().min(1).max(2_160).describe('from the end of the vote until it is carried out'),
};
export const tokenParameters = z.strictObject(parameterShape).meta({ id: 'TokenParameters' });
export type TokenParameters = z.infer<typeof tokenParameters>;
export const tokenParameterChanges = z.strictObject(parameterShape).partial().meta({ id: 'TokenParameterChanges' });
export type TokenParameterChanges = z.infer<typeof tokenParameterChanges>;

export const tokenVersion = z
  .object({
    version: z.int().positive(),
    validFrom: time,
    parameters: tokenParameters,
    proposalId: proposalId.nullable().describe('the vote that made it; null: the configuration'),
  })
  .meta({ id: 'TokenVersion' });
export type TokenVersion = z.infer<typeof tokenVersion>;

export const emissionHour = z.int().min(1).max(1_000_000).describe('of the schedule; the first is 1');
export const tokenStatus = z
  .object({
    genesis: time.nullable().describe('when hour 1 begins; null: nothing is emitted'),
    hours: z.int().describe('of the schedule'),
    hour: z.int().nullable().describe('that runs now; null: none'),
    scheduledThisHour: inIo.nullable(),
    hoursDone: z.int(),
    scheduled: inIo.describe('for the hours that are done'),
    minted: inIo.describe('of that; the rest found no eligible machine and is never minted'),
    burned: inIo,
    initialSupply: inIo,
    supply: inIo.describe('initial supply + minted − burned'),
    cap: inIo,
    iosd: z.string().describe('in circulation, 6 decimals'),
    parameters: tokenVersion.describe('in force'),
  })
  .meta({ id: 'TokenStatus' });
export type TokenStatus = z.infer<typeof tokenStatus>;

export const scheduledHour = z
  .object({ hour: emissionHour, amount: inIo, through: inIo.describe('of hour 1 up to and with this one') })
  .meta({ id: 'ScheduledHour' });
export type ScheduledHour = z.infer<typeof scheduledHour>;

export const emittedHour = z
  .object({
    hour: emissionHour,
    begins: time,
    scheduled: inIo,
    minted: inIo,
    rounding: inIo.describe('of that, what the split left over'),
    machines: z.int(),
    eligible: z.int().describe('of them, those that got a reward'),
    version: z.int().describe('of the parameters'),
  })
  .meta({ id: 'EmittedHour' });
export type EmittedHour = z.infer<typeof emittedHour>;

export const rewardKind = z.enum(['machine', 'delegation', 'referral']).meta({ id: 'RewardKind' });
export type RewardKind = z.infer<typeof rewardKind>;
export const reward = z
  .object({
    hour: emissionHour,
    begins: time,
    kind: rewardKind,
    nodeId: nodeId.nullable().describe('null: of referrals, all of the hour together'),
    amount: inIo,
  })
  .meta({ id: 'Reward' });
export type Reward = z.infer<typeof reward>;

export const machineHour = z
  .object({
    hour: emissionHour,
    nodeId,
    onlineSeconds: z.int(),
    devices: z.array(z.object({ uuid: z.string(), model: z.string(), verified: z.boolean() })),
    stake: inIo,
    minimumStake: inIo,
    weight: z.string().describe('whole number'),
    reward: inIo.describe('of the machine, before what goes to third-party stakers and to a referrer'),
    refusal: z.string().describe('why it got nothing; empty: it got some'),
  })
  .meta({ id: 'MachineHour' });
export type MachineHour = z.infer<typeof machineHour>;

export const stake = z
  .object({
    nodeId,
    role: z.enum(['own', 'delegated', 'received']).describe('received: a third party’s, on a machine of yours'),
    amount: inIo,
    machineStake: inIo.nullable().describe('all stake on the machine, and the least for it; null: of others’ machines'),
    minimumStake: inIo.nullable(),
  })
  .meta({ id: 'Stake' });
export type Stake = z.infer<typeof stake>;
export const changeStake = z
  .strictObject({
    nodeId: nodeId.describe('of your own machine, or of one whose supplier takes third-party stake'),
    amount: positiveIo,
    from: z.enum(['available', 'earnings']).default('available'),
  })
  .meta({ id: 'ChangeStake' });
export const unstake = z.strictObject({ nodeId, amount: positiveIo }).meta({ id: 'Unstake' });
export const unstaking = z
  .object({
    id: unstakingId,
    nodeId,
    amount: inIo.describe('what is left of it, if it was slashed meanwhile'),
    state: z.enum(['cooling', 'released']),
    requestedAt: time,
    releaseAt: time,
  })
  .meta({ id: 'Unstaking' });
export type Unstaking = z.infer<typeof unstaking>;
export type UnstakingState = Unstaking['state'];

export const tokenSettings = z
  .object({
    delegationPpm: ppm.nullable().describe('part of rewards for third-party stakers; null: none may stake'),
    referrerId: tenantId.nullable(),
  })
  .meta({ id: 'TokenSettings' });
export type TokenSettings = z.infer<typeof tokenSettings>;
export const changeTokenSettings = z
  .strictObject({
    delegationPpm: ppm
      .nullable()
      .optional()
      .describe('within the bounds of the parameters in force; null: no new stake of others'),
    referrerId: tenantId.optional().describe('once, and not yourself'),
  })
  .meta({ id: 'ChangeTokenSettings' });

export const slashState = z
  .enum(['open', 'appealed', 'confirmed', 'returned', 'burned'])
  .describe('confirmed: its appeal was rejected')
  .meta({ id: 'SlashState' });
export type SlashState = z.infer<typeof slashState>;
export const slash = z
  .object({
    id: slashId,
    nodeId,
    state: slashState,
    amount: inIo.describe('of all stakers together; for a tenant: its own part'),
    reason: z.string(),
    evidence: z.string(),
    verificationId: verificationId.nullable(),
    decidedAt: time,
    appealUntil: time,
    appeal: z.string().nullable(),
    decision: z.string().nullable(),
  })
  .meta({ id: 'Slash' });
export type Slash = z.infer<typeof slash>;
export const createSlash = z
  .strictObject({
    nodeId,
    amount: positiveIo,
    reason: words(1_000),
    evidence: words(4_000).describe('where it can be seen: links, ids, excerpts'),
  })
  .meta({ id: 'CreateSlash' });
export const appealSlash = z.strictObject({ reason: words(4_000) }).meta({ id: 'AppealSlash' });
export const decideSlash = z
  .strictObject({ decision: z.enum(['upheld', 'rejected']).describe('the appeal'), reason: words(1_000) })
  .meta({ id: 'DecideSlash' });

export const burnForIosd = z
  .strictObject({
    amount: positiveIo.describe('IO to burn'),
    atLeast: z
      .string()
      .regex(/^\d{1,9}(\.\d{1,6})?$/)
      .optional()
      .describe('IOSD; a rate that gives less is refused'),
  })
  .meta({ id: 'BurnForIosd' });
export const iosdMinted = z
  .object({
    burned: inIo,
    minted: z.string().describe('IOSD, 6 decimals'),
    usdPerIo: z.string(),
    transactionId: z.int(),
  })
  .meta({ id: 'IosdMinted' });
export type IosdMinted = z.infer<typeof iosdMinted>;

export const proposalState = z.enum(['voting', 'passed', 'rejected', 'executed', 'void']).meta({ id: 'ProposalState' });
export type ProposalState = z.infer<typeof proposalState>;
export const ballot = z.enum(['yes', 'no', 'abstain']).meta({ id: 'Ballot' });
export type Ballot = z.infer<typeof ballot>;
export const proposal = z
  .object({
    id: proposalId,
    title: z.string(),
    text: z.string(),
    changes: tokenParameterChanges,
    state: proposalState,
    reason: z.string().describe('why it was rejected, or not carried out'),
    createdAt: time,
    votingEndsAt: time,
    executeAt: time,
    votes: z.object({ yes: inIo, no: inIo, abstain: inIo }),
    allStake: inIo.describe('at the proposal: who has of it votes with it'),
    yourStake: inIo,
    yourVote: ballot.nullable(),
    version: z.int().nullable().describe('of the parameters that it made'),
  })
  .meta({ id: 'Proposal' });
export type Proposal = z.infer<typeof proposal>;
export const createProposal = z
  .strictObject({
    title: words(200),
    text: words(10_000),
    changes: tokenParameterChanges.refine(changes => Object.keys(changes).length > 0, 'nothing is changed'),
  })
  .meta({ id: 'CreateProposal' });
export const castVote = z.strictObject({ vote: ballot }).meta({ id: 'CastVote' });

export const rewardEstimate = z
  .object({
    hour: z.int().nullable().describe('the last with rewards, on which it stands; null: there was none yet'),
    gpus: z.int(),
    model: acceleratorSlug,
    ioPerHour: inIo.nullable(),
    usdPerHour: z.string().nullable().describe('at the rate of IO; null: it is not known'),
    minimumStake: inIo,
  })
  .meta({ id: 'RewardEstimate' });
export type RewardEstimate = z.infer<typeof rewardEstimate>;
