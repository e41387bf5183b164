/** Proposals as they are read: sums of votes, and what the tenant itself has voted; who else has is nobody's business. */
import {
  type Ballot,
  type Proposal,
  type ProposalId,
  type ProposalState,
  type TenantId,
  type TokenParameterChanges,
  unitsInWords,
} from '@iocloud/contracts';
import { Failure, type Queryable } from '../platform/index.js';

interface Row {
  id: ProposalId;
  title: string;
  text: string;
  changes: TokenParameterChanges;
  state: ProposalState;
  reason: string;
  created_at: Date;
  voting_ends_at: Date;
  execute_at: Date;
  yes: string;
  no: string;
  abstain: string;
  all_stake: string;
  your_stake: string;
  your_vote: Ballot | null;
  version: number | null;
}
const io = (units: string) => unitsInWords(BigInt(units), 'IO');

const toProposal = (row: Row): Proposal => ({
  id: row.id,
  title: row.title,
  text: row.text,
  changes: row.changes,
  state: row.state,
  reason: row.reason,
  createdAt: row.created_at.toISOString(),
  votingEndsAt: row.voting_ends_at.toISOString(),
  executeAt: row.execute_at.toISOString(),
  votes: { yes: io(row.yes), no: io(row.no), abstain: io(row.abstain) },
  allStake: io(row.all_stake),
  yourStake: io(row.your_stake),
  yourVote: row.your_vote,
  version: row.version,
});

const selection = `SELECT p.id, p.title, p.text, p.changes, p.state, p.reason, p.created_at, p.voting_ends_at, p.execute_at,
    p.all_stake::text, coalesce(v.yes, 0)::text AS yes, coalesce(v.no, 0)::text AS no, coalesce(v.abstain, 0)::text AS abstain,
    coalesce((SELECT amount FROM token_proposal_stakes s WHERE s.proposal_id = p.id AND s.tenant_id = $1), 0)::text AS your_stake,
    (SELECT vote FROM token_votes t WHERE t.proposal_id = p.id AND t.tenant_id = $1) AS your_vote,
    (SELECT version FROM token_versions n WHERE n.proposal_id = p.id) AS version
  FROM token_proposals p CROSS JOIN LATERAL (
    SELECT sum(s.amount) FILTER (WHERE t.vote = 'yes') AS yes, sum(s.amount) FILTER (WHERE t.vote = 'no') AS no,
      sum(s.amount) FILTER (WHERE t.vote = 'abstain') AS abstain
    FROM token_votes t JOIN token_proposal_stakes s USING (proposal_id, tenant_id) WHERE t.proposal_id = p.id) v`;

/** Newest first. */
export async function listProposals(
  db: Queryable,
  tenantId: TenantId,
  after: string | undefined,
  limit: number,
): Promise<Proposal[]> {
  const { rows } = await db.query<Row>(
    `${selection} WHERE $2::text IS NULL OR
       (p.created_at, p.id) < (SELECT created_at, id FROM token_proposals WHERE id = $2)
     ORDER BY p.created_at DESC, p.id DESC LIMIT $3`,
    [tenantId, after ?? null, limit],
  );
  return rows.map(toProposal);
}

/** Throws Failure 'not-found'. */
export async function getProposal(db: Queryable, tenantId: TenantId, id: ProposalId): Promise<Proposal> {
  const { rows } = await db.query<Row>(`${selection} WHERE p.id = $2`, [tenantId, id]);
  if (!rows[0]) throw new Failure('not-found', `no proposal ${id}`);
  return toProposal(rows[0]);
}
