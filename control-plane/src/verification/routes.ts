import { randomBytes } from 'node:crypto';
import { api, type Verification } from '@iocloud/contracts';
import { hourOf } from '../core/verification/index.js';
import { recordEvent } from '../events/index.js';
import { getNode, type Reputation } from '../inventory/index.js';
import { type Database, Failure, type Http } from '../platform/index.js';
import { decideAppeal, fileAppeal } from './appeals.js';
import { planNode } from './planning.js';
import { getVerification, listAppeals, listVerifications, nodeFacts, sharedOf } from './store.js';

/** Asking for challenges again and again would find the luckiest time. */
const asksSpacingMinutes = 5;

export function verificationRoutes(http: Http, database: Database, reputation: Reputation): void {
  const page = (items: Verification[], limit: number) => ({
    items,
    next: items.length === limit ? (items.at(-1)?.id ?? null) : null,
  });

  http.handle(api.listVerifications, async ({ caller, params, query }) => {
    const { id } = await getNode(database, caller.tenantId, params.nodeId);
    return page(await listVerifications(database, id, query.after, query.limit), query.limit);
  });

  http.handle(api.verifyNode, async ({ caller, params }) =>
    database.transaction(async tx => {
      const { id, name } = await getNode(tx, caller.tenantId, params.nodeId);
      const node = await nodeFacts(tx, id);
      if (!node) throw new Failure('conflict', `${name} has never connected: there is nothing to verify yet`);
      const { rowCount } = await tx.query(
        `SELECT 1 FROM verifications WHERE tenant_id = $1 AND judged_at > now() - make_interval(mins => $2)`,
        [caller.tenantId, asksSpacingMinutes],
      );
      if (rowCount !== 0) {
        const detail = `a machine of yours was verified within the last ${asksSpacingMinutes} minutes: try again later`;
        throw new Failure('too-many-requests', detail);
      }
      const now = new Date();
      const when = { hour: new Date(hourOf(now.getTime())), dueAt: now, random: randomBytes };
      // All of a supplier's together, as always: alone, one could have the help of another.
      for (const own of [node, ...(await sharedOf(tx, caller.tenantId))]) await planNode(tx, own, when);
      await tx.query(`UPDATE verifications SET due_at = now() WHERE tenant_id = $1 AND state = 'due' AND tries = 0`, [
        caller.tenantId,
      ]);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'node',
        subject: id,
        reason: 'VerificationAsked',
        message: `${caller.userId} asked for ${name} to be verified`,
      });
      return page(await listVerifications(tx, id, undefined, 64), 65);
    }),
  );

  http.handle(api.appealVerification, async ({ caller, params, body }) =>
    database.transaction(async tx => {
      const { id } = await getNode(tx, caller.tenantId, params.nodeId);
      const found = await getVerification(tx, params.verificationId, id);
      return shown(await fileAppeal(tx, found, caller.userId, body.reason));
    }),
  );

  http.handle(api.listAppeals, async ({ query }) =>
    page(await listAppeals(database, query.open, query.after, query.limit), query.limit),
  );

  http.handle(api.decideAppeal, async ({ caller, params, body }) =>
    database.transaction(async tx =>
      shown(await decideAppeal(tx, reputation, params.verificationId, caller.userId, body)),
    ),
  );
}

/** Whose it is stays inside. */
const shown = ({ tenantId: _, ...verification }: Verification & { tenantId?: unknown }): Verification => verification;
