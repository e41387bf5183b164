/** The token at a glance: emission, supply, parameters; and what accelerators would have earned. */
import { type RewardEstimate, type TokenStatus, unitsInWords, usdInWords } from '@iocloud/contracts';
import { iosdUnits, judge, minimumStake } from '../core/token/index.js';
import { tokenSums } from '../ledger/index.js';
import type { Queryable } from '../platform/index.js';
import { lastHour, lastRewarded } from './hours.js';
import { versionAt } from './versions.js';
import { hourMs, type TokenWiring, timeOf } from './wiring.js';

const io = (units: bigint) => unitsInWords(units, 'IO');

export async function tokenStatus(db: Queryable, wiring: TokenWiring): Promise<TokenStatus> {
  const { genesis, schedule } = wiring;
  const now = await timeOf(wiring, db);
  const { minted, burned, iosd } = await tokenSums(db);
  const hoursDone = await lastHour(db);
  const at = genesis === null ? 0 : Math.floor((now.getTime() - genesis.getTime()) / hourMs) + 1;
  const hour = at >= 1 && at <= schedule.hours ? at : null;
  const { initialSupply, cap } = schedule.terms;
  return {
    genesis: genesis?.toISOString() ?? null,
    hours: schedule.hours,
    hour,
    scheduledThisHour: hour === null ? null : io(schedule.amount(hour)),
    hoursDone,
    scheduled: io(schedule.through(hoursDone)),
    minted: io(minted),
    burned: io(burned),
    initialSupply: io(initialSupply),
    supply: io(initialSupply + minted - burned),
    cap: io(cap),
    iosd: unitsInWords(iosd, 'IOSD'),
    parameters: await versionAt(db, now),
  };
}

/**
 * As if so many accelerators of the model, verified, staked and online throughout, had been there in the last hour with
 * rewards: their weight came on top of all others', and the hour emitted what it did.
 */
export async function estimateReward(
  db: Queryable,
  wiring: TokenWiring,
  { model, gpus }: { model: string; gpus: number },
): Promise<RewardEstimate> {
  const { parameters } = await versionAt(db, await timeOf(wiring, db));
  const least = minimumStake(parameters, [model]);
  const last = await lastRewarded(db);
  const one = { uuid: '', model, verified: true };
  const facts = {
    devices: [one],
    onlineSeconds: hourMs / 1_000,
    ownStake: least,
    delegations: [],
    delegationPpm: null,
  };
  const each = judge({ ...facts, nodeId: '' as never, supplierId: '' as never, referrerId: null }, parameters).weight;
  const weight = each * BigInt(gpus);
  const units = last === null ? null : (last.minted * weight) / (last.weight + weight);
  const rate = await wiring.rate(db);
  return {
    hour: last?.hour ?? null,
    gpus,
    model,
    ioPerHour: units === null ? null : io(units),
    usdPerHour: units === null || rate === null ? null : usdInWords(Number(iosdUnits(units, rate.attoUsdPerIo))),
    minimumStake: io(least * BigInt(gpus)),
  };
}
