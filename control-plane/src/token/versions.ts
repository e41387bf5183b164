/** The parameters in force: versions that are only ever added. */

import { isDeepStrictEqual } from 'node:util';
import type { NodeId, ProposalId, TokenParameters, TokenVersion } from '@iocloud/contracts';
import type { Queryable, Transaction } from '../platform/index.js';
import type { TokenMachines } from './ports.js';
import { timeOf } from './wiring.js';

interface Row {
  version: number;
  valid_from: Date;
  parameters: TokenParameters;
  proposal_id: ProposalId | null;
}
const toVersion = ({ version, valid_from, parameters, proposal_id }: Row): TokenVersion => ({
  version,
  validFrom: valid_from.toISOString(),
  parameters,
  proposalId: proposal_id,
});

export async function versionAt(db: Queryable, at: Date): Promise<TokenVersion> {
  const { rows } = await db.query<Row>(
    'SELECT * FROM token_versions WHERE valid_from <= $1 ORDER BY valid_from DESC LIMIT 1',
    [at],
  );
  if (!rows[0]) throw new Error('no parameters are on record: they are written at the start');
  return toVersion(rows[0]);
}

/** Newest first. */
export async function listVersions(db: Queryable, below: number, limit: number): Promise<TokenVersion[]> {
  const { rows } = await db.query<Row>(
    'SELECT * FROM token_versions WHERE version < $1 ORDER BY version DESC LIMIT $2',
    [below, limit],
  );
  return rows.map(toVersion);
}

/** From now on; one that is made in the same millisecond as the one before follows it. */
export async function insertVersion(
  tx: Transaction,
  machines: TokenMachines,
  wanted: { from: Date; parameters: TokenParameters; proposalId: ProposalId | null },
): Promise<void> {
  await tx.query(
    `INSERT INTO token_versions (version, valid_from, parameters, proposal_id)
     SELECT coalesce(max(version), 0) + 1, greatest($1, max(valid_from) + interval '1 millisecond'), $2, $3
     FROM token_versions`,
    [wanted.from, JSON.stringify(wanted.parameters), wanted.proposalId],
  );
  const { rows } = await tx.query<{ node_id: NodeId }>('SELECT DISTINCT node_id FROM token_stakes');
  await machines.stakesChanged(
    tx,
    rows.map(({ node_id }) => node_id),
  );
}

/** Any constant will do, as long as every replica takes the same. */
export const versionsLock = 7_265_122;

/**
 * At the start: the configured parameters are in force from now on, unless a vote has changed any since. False: one has, and
 * they are others.
 */
export async function applyParameters(
  tx: Transaction,
  machines: TokenMachines,
  parameters: TokenParameters,
): Promise<boolean> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [versionsLock]);
  const { rows } = await tx.query<Row & { voted: boolean }>(
    `SELECT *, EXISTS (SELECT FROM token_versions WHERE proposal_id IS NOT NULL) AS voted
     FROM token_versions ORDER BY version DESC LIMIT 1`,
  );
  const last = rows[0];
  if (last && isDeepStrictEqual(last.parameters, parameters)) return true;
  if (last?.voted) return false;
  const from = last ? await timeOf({}, tx) : new Date(0);
  await insertVersion(tx, machines, { from, parameters, proposalId: null });
  return true;
}
