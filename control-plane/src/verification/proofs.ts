/** What verdicts are to the token rules. */
import type { NodeId, VerificationId } from '@iocloud/contracts';
import type { Queryable } from '../platform/index.js';
import type { TokenProofs } from '../token/ports.js';

export const tokenProofs: TokenProofs = {
  /** Of a device that was leased throughout its hour, and so could not be asked, the latest one of a day before counts. */
  passed: async (db: Queryable, hour: Date) => {
    const { rows } = await db.query<{ node_id: NodeId; uuids: string[] }>(
      `SELECT node_id, array_agg(DISTINCT device_uuid) AS uuids FROM verifications v
       WHERE hour = $1 AND device_index IS NOT NULL AND (verdict = 'passed' OR verdict = 'leased' AND EXISTS (
           SELECT FROM verifications p WHERE p.node_id = v.node_id AND p.device_uuid = v.device_uuid
             AND p.device_model = v.device_model AND p.verdict = 'passed' AND p.hour < $1
             AND p.hour >= $1::timestamptz - interval '24 hours'))
         AND NOT EXISTS (SELECT FROM verifications f WHERE f.node_id = v.node_id AND f.device_uuid = v.device_uuid
           AND f.hour = $1 AND f.verdict = 'failed')
       GROUP BY node_id`,
      [hour],
    );
    return new Map(rows.map(({ node_id, uuids }) => [node_id, new Set(uuids)]));
  },

  failed: async (db: Queryable, since: Date, until: Date) => {
    const { rows } = await db.query<{ id: VerificationId; node_id: NodeId; judged_at: Date; reason: string }>(
      `SELECT v.id, v.node_id, v.judged_at, v.reason FROM verifications v
       LEFT JOIN verification_appeals a ON a.verification_id = v.id
       WHERE v.state = 'judged' AND v.verdict = 'failed' AND v.judged_at > $1 AND v.judged_at <= $2::timestamptz - interval '1 day'
         AND (a.verification_id IS NULL OR a.decision = 'rejected') ORDER BY v.judged_at, v.id`,
      [since, until],
    );
    return rows.map(({ id, node_id, judged_at, reason }) => ({ id, nodeId: node_id, judgedAt: judged_at, reason }));
  },
};
