/** The token rules as a person reads them. Pure. */
import type {
  EmittedHour,
  MachineHour,
  Proposal,
  Reward,
  RewardEstimate,
  Slash,
  Stake,
  TokenParameterChanges,
  TokenSettings,
  TokenStatus,
  TokenVersion,
  Unstaking,
} from '@iocloud/contracts';
import { facts, oneLine, table } from '../output.js';

const memoWidth = 40;
const minute = (time: string) => `${time.slice(0, 16)}Z`;
const percent = (ppm: number) => `${ppm / 10_000} %`;

export function stakeTable(stakes: readonly Stake[]): string {
  if (stakes.length === 0) return 'nothing is staked; `iocloud stake add <node> <amount>` does it';
  return table(
    ['node', 'whose', 'io', 'on the machine', 'least'],
    stakes.map(({ nodeId, role, amount, machineStake, minimumStake }) => [
      nodeId,
      role,
      amount,
      machineStake ?? '',
      minimumStake ?? '',
    ]),
  );
}

export function unstakingTable(all: readonly Unstaking[]): string {
  if (all.length === 0) return 'nothing is on its way out';
  return table(
    ['id', 'node', 'io', 'state', 'available from'],
    all.map(({ id, nodeId, amount, state, releaseAt }) => [id, nodeId, amount, state, minute(releaseAt)]),
  );
}

export function slashTable(slashes: readonly Slash[]): string {
  if (slashes.length === 0) return 'nothing was slashed';
  return table(
    ['id', 'node', 'io', 'state', 'appeal until', 'reason'],
    slashes.map(({ id, nodeId, amount, state, appealUntil, reason }) => [
      id,
      nodeId,
      amount,
      state,
      minute(appealUntil),
      oneLine(reason, memoWidth),
    ]),
  );
}

export const settingsInWords = ({ delegationPpm, referrerId }: TokenSettings): string =>
  facts([
    ['third-party stake', delegationPpm === null ? 'none' : `gets ${percent(delegationPpm)} of rewards`],
    ['referred by', referrerId ?? ''],
  ]);

export function tokenInWords(status: TokenStatus): string {
  const { genesis, hour, hours, scheduledThisHour, hoursDone, minted, scheduled, burned, supply, cap, iosd } = status;
  return facts([
    ['emission', genesis === null ? 'none: no genesis is configured (docs/token.md)' : `since ${genesis}`],
    ['hour', hour === null ? '' : `${hour} of ${hours}: ${scheduledThisHour ?? ''} IO`],
    ['done', `${hoursDone} hours: ${minted} IO of ${scheduled}`],
    ['burned', `${burned} IO`],
    ['supply', `${supply} IO of at most ${cap}`],
    ['IOSD', iosd],
  ]);
}

const inWords = (changes: TokenParameterChanges): [string, string][] =>
  Object.entries(changes).flatMap(([name, value]): [string, string][] =>
    typeof value === 'object'
      ? Object.entries(value).map(([model, ppm]) => [`${name}.${model}`, String(ppm)])
      : [[name, String(value)]],
  );

export const parametersInWords = ({ version, validFrom, proposalId, parameters }: TokenVersion): string =>
  facts([
    ['version', String(version)],
    ['in force from', Date.parse(validFrom) === 0 ? 'the beginning' : validFrom],
    ['made by', proposalId ?? 'configuration'],
    ...inWords(parameters),
  ]);

export function emissionTable(hours: readonly EmittedHour[]): string {
  if (hours.length === 0) return 'no hour has been emitted yet';
  return table(
    ['hour', 'begins', 'scheduled', 'minted', 'machines', 'eligible'],
    hours.map(({ hour, begins, scheduled, minted, machines, eligible }) => [
      String(hour),
      minute(begins),
      scheduled,
      minted,
      String(machines),
      String(eligible),
    ]),
  );
}

export function rewardTable(rewards: readonly Reward[]): string {
  if (rewards.length === 0) return 'no rewards yet; `iocloud rewards --node <node>` says why a machine got none';
  return table(
    ['hour', 'begins', 'for', 'node', 'io'],
    rewards.map(({ hour, begins, kind, nodeId, amount }) => [String(hour), minute(begins), kind, nodeId ?? '', amount]),
  );
}

export function machineHourTable(hours: readonly MachineHour[]): string {
  if (hours.length === 0) return 'it was there in no hour that was emitted';
  return table(
    ['hour', 'online s', 'verified', 'stake', 'least', 'weight', 'io', 'why not'],
    hours.map(({ hour, onlineSeconds, devices, stake, minimumStake, weight, reward, refusal }) => [
      String(hour),
      String(onlineSeconds),
      `${devices.filter(({ verified }) => verified).length} of ${devices.length}`,
      stake,
      minimumStake,
      weight,
      reward,
      refusal,
    ]),
  );
}

export const estimateInWords = ({ hour, gpus, model, ioPerHour, usdPerHour, minimumStake }: RewardEstimate): string =>
  facts([
    ['accelerators', `${gpus} × ${model}`],
    ['by hour', hour === null ? 'none with rewards yet' : String(hour)],
    ['rewards', ioPerHour === null ? '' : `${ioPerHour} IO an hour`],
    ['in USD', usdPerHour === null ? 'no rate of IO is known' : `$${usdPerHour}`],
    ['least stake', `${minimumStake} IO`],
  ]);

export function proposalTable(proposals: readonly Proposal[]): string {
  if (proposals.length === 0) return 'nothing has been proposed yet';
  return table(
    ['id', 'state', 'votes until', 'yes', 'no', 'title'],
    proposals.map(({ id, state, votingEndsAt, votes, title }) => [
      id,
      state,
      minute(votingEndsAt),
      votes.yes,
      votes.no,
      oneLine(title, memoWidth),
    ]),
  );
}

export function proposalInWords(proposal: Proposal): string {
  const { id, title, text, state, reason, votingEndsAt, executeAt, votes, allStake, yourStake, yourVote } = proposal;
  return facts([
    ['proposal', id],
    ['title', title],
    ['text', text],
    ...inWords(proposal.changes).map(([name, value]): [string, string] => [`sets ${name}`, value]),
    ['state', reason === '' ? state : `${state}: ${reason}`],
    ['votes until', votingEndsAt],
    ['in force from', executeAt],
    ['yes, no, abstain', `${votes.yes}, ${votes.no}, ${votes.abstain} of ${allStake} IO`],
    ['you', `${yourStake} IO${yourVote === null ? '' : `, voted ${yourVote}`}`],
  ]);
}
