/** Appeals against verdicts: filed by suppliers, decided by operators. */
import type { TenantId, UserId, Verification, VerificationId } from '@iocloud/contracts';
import { recordEvent } from '../events/index.js';
import type { Reputation } from '../inventory/index.js';
import { Failure, type Transaction } from '../platform/index.js';
import { settleEligibility } from './eligibility.js';
import { getVerification } from './store.js';

export async function fileAppeal(
  tx: Transaction,
  found: Verification & { tenantId: TenantId },
  userId: UserId,
  reason: string,
): Promise<Verification> {
  if (found.verdict !== 'failed') {
    const now = found.verdict === null ? 'not judged yet' : found.verdict;
    throw new Failure('conflict', `${found.id} is ${now}: only a verdict of failed can be appealed`);
  }
  const { rowCount } = await tx.query(
    'INSERT INTO verification_appeals (verification_id, reason, filed_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
    [found.id, reason, userId],
  );
  if (rowCount !== 1) throw new Failure('already-exists', `${found.id} has been appealed already`);
  await tell(tx, found, 'AppealFiled', `${userId} appeals against ${found.id}: ${reason}`);
  return getVerification(tx, found.id);
}

/** Accepted, the verdict is void, what it counted for is taken back, and the machine is looked at anew. */
export async function decideAppeal(
  tx: Transaction,
  reputation: Reputation,
  id: VerificationId,
  userId: UserId,
  { decision, reason }: { decision: 'accepted' | 'rejected'; reason: string },
): Promise<Verification> {
  const found = await getVerification(tx, id);
  if (found.appeal === null) throw new Failure('not-found', `nobody has appealed against ${id}`);
  const { rowCount } = await tx.query(
    `UPDATE verification_appeals SET decision = $2, decision_reason = $3, decided_by = $4, decided_at = now()
     WHERE verification_id = $1 AND decision IS NULL`,
    [id, decision, reason, userId],
  );
  if (rowCount !== 1) throw new Failure('conflict', `the appeal against ${id} has been decided already`);
  if (decision === 'accepted') {
    const { rows } = await tx.query<{ judged_at: Date }>(
      `UPDATE verifications SET verdict = 'void' WHERE id = $1 AND verdict = 'failed' RETURNING judged_at`,
      [id],
    );
    if (!rows[0]) throw new Error(`${id} was appealed against, but had not failed`);
    // Of the same time as what it takes back, so that both fade alike.
    await reputation.record(
      tx,
      found.nodeId,
      'verification' as TenantId,
      { kind: 'challengeVoided' },
      rows[0].judged_at,
    );
    await settleEligibility(tx, found.nodeId);
  }
  await tell(
    tx,
    found,
    decision === 'accepted' ? 'AppealAccepted' : 'AppealRejected',
    `the appeal against ${id} is ${decision}: ${reason}`,
  );
  return getVerification(tx, id);
}

const tell = (
  tx: Transaction,
  { tenantId, nodeId }: Verification & { tenantId: TenantId },
  reason: string,
  message: string,
) => recordEvent(tx, { tenantId, subjectKind: 'node', subject: nodeId, reason, message });
