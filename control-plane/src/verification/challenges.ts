/** Challenges that are due, given and judged, again and again. */
import { randomInt, randomBytes as secureBytes } from 'node:crypto';
import type { TenantId, Verdict } from '@iocloud/contracts';
import {
  type ChallengeContext,
  expectationOf,
  type Hash,
  type Judgement,
  judge,
  type Subject,
  subjectsOf,
  type Transcript,
} from '../core/verification/index.js';
import { recordEvent } from '../events/index.js';
import { type LeaseBook, type Machines, type Reputation, StreamRefused } from '../inventory/index.js';
import { type Database, type Logger, Recurring } from '../platform/index.js';
import { signatureCheck } from './device-signature.js';
import { lapsed, settleEligibility } from './eligibility.js';
import { Meeting } from './meeting.js';
import { countVerdict } from './metrics.js';
import { claim, forgetOld, overdue, planHour, takeBack } from './planning.js';
import { converse, Yielded } from './session.js';
import { move, type NodeFacts, nodeFacts, ownPasses, type VerificationRow } from './store.js';

const lookIntervalMs = 1_000;
/** At once in this process. Of a supplier with more devices, those that meet are others in each hour. */
const mostAtOnce = 64;
const heldSeconds = 300;
/** Until the second try after one that failed, or until one that made way for a lease looks again. */
const againMs = { from: 15_000, to: 45_000 };
const leasedAgainMs = 60_000;
/** What the control plane itself says has one voice among those of renters: see core/matching/reputation.ts. */
const itself = 'verification' as TenantId;

export interface Wiring {
  database: Database;
  machines: Pick<Machines, 'openStream'>;
  leaseBook: Pick<LeaseBook, 'leased'>;
  reputation: Reputation;
  keyed: Hash;
  hash: Hash;
  log: Logger;
  now(): Date;
  clockMs(): number;
  /** Aborted when this process ends: what is under way then counts for nothing. */
  ending: AbortSignal;
  /** Times the threshold of a pass. */
  slack?: number;
  expectation?: typeof expectationOf;
}

export const challengeSweep = (wiring: Wiring): Recurring =>
  new Recurring(
    'challenges',
    lookIntervalMs,
    async isStopped => {
      const { database, keyed, now } = wiring;
      await planHour({ database, keyed, now, random: secureBytes });
      await takeBack(database);
      for (const row of await overdue(database, now())) await lapse(wiring, row);
      for (const nodeId of await lapsed(database)) await database.transaction(tx => settleEligibility(tx, nodeId));
      await forgetOld(database);
      while (!isStopped() && (await challengeDue(wiring)) > 0);
    },
    error => wiring.log.warn({ err: error }, 'devices could not be verified; again soon'),
  );

/** Gives all challenges that are due, those of a supplier at one time. Returns how many. */
export async function challengeDue(wiring: Wiring): Promise<number> {
  const rows = await claim(wiring.database, mostAtOnce, heldSeconds);
  const suppliers = new Map<TenantId, VerificationRow[]>();
  for (const row of rows) suppliers.set(row.tenant_id, [...(suppliers.get(row.tenant_id) ?? []), row]);
  await Promise.all([...suppliers.values()].map(devices => challengeTogether(wiring, devices)));
  return rows.length;
}

/** A challenge that was given to its end. */
interface Given {
  row: VerificationRow;
  transcript: Transcript;
  judgement: Judgement;
  mayTryAgain: boolean;
}

/**
 * If one of them may try again, all others do with it: else a device that answers for two could pass for one of them in each
 * round.
 */
async function challengeTogether(wiring: Wiring, rows: VerificationRow[]): Promise<void> {
  const meeting = new Meeting(rows.length);
  const broken = (row: VerificationRow) => (error: unknown) => {
    wiring.log.warn({ verification: row.id, err: error }, 'a challenge broke off; its row is taken back later');
    return null;
  };
  const ended = rows.map(row =>
    challenge(wiring, row, meeting)
      .catch(broken(row))
      .finally(() => meeting.leave()),
  );
  const given = (await Promise.all(ended)).filter(one => one !== null);
  const again = given.some(({ mayTryAgain }) => mayTryAgain);
  const later = new Date(wiring.now().getTime() + randomInt(againMs.from, againMs.to));
  for (const { row, transcript, judgement, mayTryAgain } of given) {
    const isFirst = mayTryAgain || (judgement.passed && row.tries === 1);
    if (again && isFirst) {
      const change = { held_until: null, due_at: later };
      const kept = mayTryAgain ? { passes: transcript.passes, checks: judgement.checks } : {};
      await move(wiring.database, row, 'cutShort', { ...change, ...kept });
      wiring.log.info({ verification: row.id, checks: judgement.checks }, 'a device is challenged again');
    } else {
      const verdict = judgement.passed ? 'passed' : 'failed';
      await settle(wiring, { ...row, passes: transcript.passes }, verdict, judgement);
    }
  }
}

/** Null where nothing was given, or nothing of it counts. */
async function challenge(wiring: Wiring, row: VerificationRow, meeting: Meeting): Promise<Given | null> {
  const { database, log } = wiring;
  const node = await nodeFacts(database, row.node_id);
  const subject = node && subjectsOf(node.inventory).find(one => one.uuid === row.device_uuid);
  if (!node || !subject || subject.model !== row.device_model) {
    const fault = 'the machine has no such device any more';
    await settle(wiring, row, 'missed', { passed: false, again: false, checks: [] }, fault);
    return null;
  }
  const free = () => isFree(wiring, node, subject);
  try {
    if (!(await free())) throw new Yielded();
    return await conduct(wiring, row, node, subject, { free, meeting });
  } catch (error) {
    if (!(error instanceof Yielded)) throw error;
    const later = new Date(wiring.now().getTime() + (wiring.ending.aborted ? 0 : leasedAgainMs));
    await move(database, row, 'cutShort', { held_until: null, tries: row.tries - 1, due_at: later });
    const why = wiring.ending.aborted ? 'this process ends' : 'the device is leased';
    log.info({ verification: row.id, nodeId: row.node_id, why }, 'a challenge is put off');
    return null;
  }
}

async function isFree({ database, leaseBook }: Wiring, node: NodeFacts, { index }: Subject): Promise<boolean> {
  const use = (await leaseBook.leased(database, [node.id])).get(node.id);
  if (!use) return true;
  return index === null ? use.cpus === 0 && use.devices.length === 0 : !use.devices.includes(index);
}

const heldUntil = ({ now }: Wiring): Date => new Date(now().getTime() + heldSeconds * 1_000);

async function conduct(
  wiring: Wiring,
  row: VerificationRow,
  node: NodeFacts,
  subject: Subject,
  { free, meeting }: { free(): Promise<boolean>; meeting: Meeting },
): Promise<Given> {
  const { database, machines, hash, clockMs, expectation: expect = expectationOf } = wiring;
  const usual = expect(subject, await ownPasses(database, node.id, subject.uuid, subject.model));
  const expectation = { ...usual, slowestMs: usual.slowestMs * (wiring.slack ?? 1) };
  const context: ChallengeContext = {
    nodeId: node.id,
    deviceKey: node.public_key,
    deviceUuid: subject.uuid,
    deviceModel: subject.model,
    hour: row.hour.toISOString(),
    work: expectation.work,
    seed: secureBytes(32).toString('hex'),
  };
  await database.query('UPDATE verifications SET expectation = $2, seed = $3 WHERE id = $1', [
    row.id,
    JSON.stringify(expectation),
    context.seed,
  ]);
  const transcript = await machines.openStream(node.id, { kind: 'prove' }).then(
    stream => {
      wiring.ending.addEventListener('abort', () => stream.destroy(), { once: true });
      return converse({
        stream,
        context,
        subject,
        expectation,
        hash,
        clockMs,
        isSigned: signatureCheck(node.public_key),
        uniform: below => randomInt(below),
        together: () => meeting.arrive(),
        onStep: async step => {
          row.state = await move(database, row, step, { held_until: heldUntil(wiring) });
          if (!(await free())) throw new Yielded();
        },
      });
    },
    (error: unknown) => {
      if (!(error instanceof StreamRefused)) throw error;
      return { passes: [], broken: { how: 'refused' as const, message: error.message } };
    },
  );
  if (wiring.ending.aborted) throw new Yielded();
  const judgement = judge(transcript, expectation);
  const mayTryAgain = !judgement.passed && judgement.again && row.tries < expectation.test.tries;
  return { row, transcript, judgement, mayTryAgain };
}

/** The verdict and all that follows from it, in one transaction. */
async function settle(
  { database, reputation, now }: Wiring,
  row: VerificationRow,
  verdict: Verdict,
  { checks }: Judgement,
  reason = reasonOf(verdict, checks),
  event: 'judge' | 'lapsed' = 'judge',
): Promise<void> {
  const judgedAt = now();
  await database.transaction(async tx => {
    const change = { verdict, reason, checks, passes: row.passes, judged_at: judgedAt, held_until: null };
    await move(tx, row, event, change);
    countVerdict(tx, verdict);
    if (verdict === 'failed') await reputation.record(tx, row.node_id, itself, { kind: 'challengeFailed' }, judgedAt);
    await recordEvent(tx, {
      tenantId: row.tenant_id,
      subjectKind: 'node',
      subject: row.node_id,
      reason: eventOf[verdict],
      message: `${row.device_model} (${row.device_uuid}): ${reason}`,
      severity: verdict === 'failed' ? 'warning' : 'info',
    });
    await settleEligibility(tx, row.node_id);
  });
}

const eventOf: Record<Verdict, string> = {
  passed: 'DeviceVerified',
  failed: 'DeviceFailedVerification',
  missed: 'VerificationMissed',
  leased: 'VerificationSkipped',
  void: 'VerificationVoided',
};

const reasonOf = (verdict: Verdict, checks: Judgement['checks']): string =>
  verdict === 'passed'
    ? 'it did the work, right and in time'
    : checks
        .filter(check => !check.passed)
        .map(check => check.found)
        .join('; ') || 'it did not do all of the work';

/** Its hour is over: it was offline, or leased. One that failed and then kept away has failed. */
async function lapse(wiring: Wiring, row: VerificationRow): Promise<void> {
  const use = (await wiring.leaseBook.leased(wiring.database, [row.node_id])).get(row.node_id);
  const nothing: Judgement = { passed: false, again: false, checks: row.checks };
  if (row.checks.length > 0) return settle(wiring, row, 'failed', nothing, undefined, 'lapsed');
  const isLeased = use !== undefined && (use.cpus > 0 || use.devices.length > 0);
  if (isLeased) return settle(wiring, row, 'leased', nothing, 'it was leased, and is not loaded meanwhile', 'lapsed');
  return settle(wiring, row, 'missed', nothing, 'it could not be reached in its hour', 'lapsed');
}
