/** Proposals to change parameters: votes weighted by the stake at their beginning, carried out once, after a delay. */
import {
  type Ballot,
  newId,
  type ProposalId,
  type ProposalState,
  parseUnits,
  type TenantId,
  type TokenParameterChanges,
  tokenParameters,
} from '@iocloud/contracts';
import {
  changedParameters,
  outcome,
  type ProposalEvent,
  parametersFault,
  proposalTransitions,
} from '../core/token/index.js';
import { Failure, type Transaction, takeLock } from '../platform/index.js';
import { insertVersion, versionAt, versionsLock } from './versions.js';
import { hourMs, type TokenWiring, timeOf } from './wiring.js';

export interface NewProposal {
  tenantId: TenantId;
  title: string;
  text: string;
  changes: TokenParameterChanges;
}
const mostOpen = 5;

/** Throws Failure. */
export async function propose(tx: Transaction, wiring: TokenWiring, wanted: NewProposal): Promise<ProposalId> {
  const { tenantId, title, text, changes } = wanted;
  const now = await timeOf(wiring, tx);
  const { parameters } = await versionAt(tx, now);
  const fault = parametersFault(changedParameters(parameters, changes));
  if (fault) throw new Failure('bad-request', `body.changes: ${fault}`);
  const { rows: held } = await tx.query<{ stake: string; open: number }>(
    `SELECT (SELECT coalesce(sum(amount), 0)::text FROM token_stakes WHERE staker_id = $1) AS stake,
       (SELECT count(*)::int FROM token_proposals WHERE tenant_id = $1 AND state = 'voting') AS open`,
    [tenantId],
  );
  if (BigInt(held[0]?.stake ?? 0) < (parseUnits(parameters.proposalStake, 'IO') ?? 0n)) {
    throw new Failure('permission-denied', `a proposal takes a stake of ${parameters.proposalStake} IO`);
  }
  if ((held[0]?.open ?? 0) >= mostOpen)
    throw new Failure('conflict', `${mostOpen} of your proposals are being voted on`);
  const id = newId('proposal', wiring.random);
  const endsMs = now.getTime() + parameters.votingHours * hourMs;
  // Total and parts by one statement, so of one moment.
  await tx.query(
    `WITH stakes AS (SELECT staker_id, sum(amount) AS amount FROM token_stakes WHERE amount > 0 GROUP BY staker_id),
       made AS (
         INSERT INTO token_proposals (id, tenant_id, title, text, changes, created_at, voting_ends_at, execute_at,
           quorum_ppm, threshold_ppm, all_stake)
         SELECT $1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, sum(amount) FROM stakes RETURNING id)
     INSERT INTO token_proposal_stakes (proposal_id, tenant_id, amount) SELECT made.id, staker_id, amount FROM made, stakes`,
    [
      id,
      tenantId,
      title,
      text,
      JSON.stringify(changes),
      now,
      new Date(endsMs),
      new Date(endsMs + parameters.executionDelayHours * hourMs),
      parameters.quorumPpm,
      parameters.thresholdPpm,
    ],
  );
  return id;
}

interface ProposalRow {
  id: ProposalId;
  state: ProposalState;
  changes: TokenParameterChanges;
  voting_ends_at: Date;
  execute_at: Date;
  quorum_ppm: number;
  threshold_ppm: number;
  all_stake: string;
}
const columns = 'id, state, changes, voting_ends_at, execute_at, quorum_ppm, threshold_ppm, all_stake::text';

/** Once; the same vote again is the same vote. Throws Failure. */
export async function vote(
  tx: Transaction,
  wiring: TokenWiring,
  voter: { tenantId: TenantId; actor: string },
  id: ProposalId,
  ballot: Ballot,
): Promise<void> {
  // Shared: votes do not wait for one another, only for the count.
  const { rows } = await tx.query<ProposalRow>(`SELECT ${columns} FROM token_proposals WHERE id = $1 FOR SHARE`, [id]);
  const proposal = rows[0];
  if (!proposal) throw new Failure('not-found', `no proposal ${id}`);
  const now = await timeOf(wiring, tx);
  if (proposal.state !== 'voting' || now >= proposal.voting_ends_at) {
    throw new Failure('conflict', `the vote on ${id} ended ${proposal.voting_ends_at.toISOString()}`);
  }
  const { rows: stakes } = await tx.query(
    'SELECT 1 FROM token_proposal_stakes WHERE proposal_id = $1 AND tenant_id = $2',
    [id, voter.tenantId],
  );
  if (stakes.length === 0) throw new Failure('permission-denied', `you had nothing staked when ${id} was proposed`);
  const { rows: cast } = await tx.query<{ vote: Ballot }>(
    `WITH cast_now AS (
       INSERT INTO token_votes (proposal_id, tenant_id, vote, actor, at) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT DO NOTHING RETURNING vote)
     SELECT vote FROM cast_now UNION ALL SELECT vote FROM token_votes WHERE proposal_id = $1 AND tenant_id = $2`,
    [id, voter.tenantId, ballot, voter.actor, now],
  );
  if (cast[0]?.vote !== ballot)
    throw new Failure('conflict', `you have voted ${cast[0]?.vote ?? ''} on ${id}, which stands`);
}

/** Any constant will do, as long as every replica takes the same. */
const proposalsLock = 7_265_124;

/** Counts or carries out one proposal that is due. False: there is none, or another replica is at it. */
export async function advanceProposal(wiring: TokenWiring): Promise<boolean> {
  return wiring.database.transaction(async tx => {
    if (!(await takeLock(tx, proposalsLock))) return false;
    const now = await timeOf(wiring, tx);
    const { rows } = await tx.query<ProposalRow>(
      `SELECT ${columns} FROM token_proposals
       WHERE state = 'voting' AND voting_ends_at <= $1 OR state = 'passed' AND execute_at <= $1
       ORDER BY CASE state WHEN 'voting' THEN voting_ends_at ELSE execute_at END, id LIMIT 1 FOR UPDATE`,
      [now],
    );
    const proposal = rows[0];
    if (!proposal) return false;
    const { event, reason } =
      proposal.state === 'voting' ? await count(tx, proposal) : await carryOut(tx, wiring, proposal, now);
    const next = proposalTransitions[proposal.state][event];
    if (next === undefined) throw new Error(`${proposal.id} is ${proposal.state}: ${event} cannot happen`);
    await tx.query('UPDATE token_proposals SET state = $2, reason = $3 WHERE id = $1', [proposal.id, next, reason]);
    return true;
  });
}

interface Advance {
  event: ProposalEvent;
  reason: string;
}

async function count(tx: Transaction, { id, all_stake, quorum_ppm, threshold_ppm }: ProposalRow): Promise<Advance> {
  const { rows } = await tx.query<{ vote: Ballot; amount: string }>(
    `SELECT v.vote, sum(s.amount)::text AS amount FROM token_votes v
     JOIN token_proposal_stakes s USING (proposal_id, tenant_id) WHERE proposal_id = $1 GROUP BY v.vote`,
    [id],
  );
  const of = (ballot: Ballot) => BigInt(rows.find(row => row.vote === ballot)?.amount ?? 0);
  const votes = { yes: of('yes'), no: of('no'), abstain: of('abstain') };
  return outcome(votes, BigInt(all_stake), { quorumPpm: quorum_ppm, thresholdPpm: threshold_ppm });
}

/** Upon the parameters that are in force by then: what another vote has changed meanwhile stays. */
async function carryOut(
  tx: Transaction,
  wiring: TokenWiring,
  { id, changes }: ProposalRow,
  now: Date,
): Promise<Advance> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [versionsLock]);
  const { parameters } = await versionAt(tx, now);
  const next = changedParameters(parameters, changes);
  const parsed = tokenParameters.safeParse(next);
  const fault = parsed.success ? parametersFault(parsed.data) : 'it is out of the bounds of this release';
  if (fault) return { event: 'void', reason: fault };
  await insertVersion(tx, wiring.machines, { from: now, parameters: next, proposalId: id });
  return { event: 'execute', reason: '' };
}
