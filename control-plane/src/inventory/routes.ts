import { api, type NodeId, newId } from '@iocloud/contracts';
import { once } from '../accounts/index.js';
import { recordEvent } from '../events/index.js';
import { type Caller, type Database, Failure, type Http, type Transaction, wake } from '../platform/index.js';
import { setAgentHold } from './agent-release.js';
import { normalisePublicKey } from './device-key.js';
import { deviceMetrics } from './device-metrics.js';
import { drainNode, undrainNode } from './draining.js';
import type { LeaseBook } from './ports.js';
import * as store from './store.js';
import { latestTelemetry, telemetryOf } from './telemetry.js';

/** Makes the row of a machine. Throws Failure 'already-exists' where its name or its key is taken. */
export async function enrol(
  tx: Transaction,
  { tenantId, userId }: Pick<Caller, 'tenantId' | 'userId'>,
  node: { id: NodeId; name: string; publicKey: string; shared: boolean },
): Promise<store.NodeRow> {
  const { id, name, publicKey, shared } = node;
  const row = await store.insertNode(tx, { id, tenantId, name, publicKey, shared });
  await recordEvent(tx, {
    tenantId,
    subjectKind: 'node',
    subject: row.id,
    reason: 'NodeEnrolled',
    message: `${userId} enrolled ${row.name}`,
  });
  return row;
}

export function nodeRoutes(
  http: Http,
  database: Database,
  leaseBook: LeaseBook,
  random: (n: number) => Uint8Array,
): void {
  const show = async (db: Parameters<LeaseBook['leased']>[0], row: store.NodeRow) => {
    const [node] = await store.toNodes(db, leaseBook, [row]);
    if (!node) throw new Error('one row makes one node');
    return node;
  };

  http.handle(api.listNodes, async ({ caller, query }) => {
    const rows = await store.listNodes(database, caller.tenantId, query.after ?? '', query.limit);
    const items = await store.toNodes(database, leaseBook, rows);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.getNode, async ({ caller, params }) =>
    show(database, await store.getNode(database, caller.tenantId, params.nodeId)),
  );

  http.handle(api.enrolNode, async ({ caller, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const publicKey = normalisePublicKey(body.publicKey);
        return show(tx, await enrol(tx, caller, { ...body, id: newId('node', random), publicKey }));
      }),
    ),
  );

  http.handle(api.changeNodeTerms, async ({ caller, params, body }) =>
    database.transaction(async tx => {
      const row = await store.changeTerms(tx, caller.tenantId, params.nodeId, body);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'node',
        subject: row.id,
        reason: 'NodeTermsChanged',
        message: `${caller.userId} changed ${Object.keys(body).join(', ') || 'nothing'} of ${row.name}`,
      });
      // Jobs that no machine could carry may find one now.
      await wake(tx, 'dispatch', 'all');
      // Its agent is told for whom it relays.
      if (body.relayAddress !== undefined) await wake(tx, 'node', row.id);
      return show(tx, row);
    }),
  );

  http.handle(api.drainNode, async ({ caller, params, body }) =>
    database.transaction(async tx => show(tx, await drainNode(tx, leaseBook, caller, params.nodeId, body))),
  );

  http.handle(api.undrainNode, async ({ caller, params }) =>
    database.transaction(async tx => show(tx, await undrainNode(tx, leaseBook, caller, params.nodeId))),
  );

  const hold = (caller: Caller, nodeId: NodeId, reason: string | null) =>
    database.transaction(async tx => {
      const row = await setAgentHold(tx, caller.tenantId, nodeId, reason);
      const message = reason === null ? 'lets roll-outs upgrade the agent of' : 'keeps the agent on its release at';
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'node',
        subject: nodeId,
        reason: reason === null ? 'AgentUnheld' : 'AgentHeld',
        message: `${caller.userId} ${message} ${row.name}${reason === null ? '' : `: ${reason}`}`,
      });
      return show(tx, row);
    });
  http.handle(api.holdAgent, ({ caller, params, body }) => hold(caller, params.nodeId, body.reason));
  http.handle(api.unholdAgent, ({ caller, params }) => hold(caller, params.nodeId, null));

  http.handle(api.nodeTelemetry, async ({ caller, params, query }) => {
    const { id } = await store.getNode(database, caller.tenantId, params.nodeId);
    const items = await telemetryOf(database, id, new Date(query.after ?? 0), query.limit);
    return { items, next: items.length === query.limit ? (items.at(-1)?.at ?? null) : null };
  });

  http.handle(api.nodeMetrics, async ({ caller, response }) => {
    const scope = caller.permissions.has('metrics:read') ? null : caller.tenantId;
    const { type, text } = await deviceMetrics(await latestTelemetry(database, scope));
    response.set({ 'Content-Type': type, 'Cache-Control': 'no-store' }).send(text);
    return undefined;
  });

  http.handle(api.removeNode, async ({ caller, params }) =>
    database.transaction(async tx => {
      const node = await show(tx, await store.getNode(tx, caller.tenantId, params.nodeId));
      if (node.cpusLeased > 0 || node.devicesLeased.length > 0) {
        throw new Failure('conflict', `${node.name} is in use: delete the clusters that run on it first`);
      }
      const row = await store.removeNode(tx, caller.tenantId, params.nodeId);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'node',
        subject: row.id,
        reason: 'NodeRemoved',
        message: `${caller.userId} removed ${row.name}`,
      });
      return show(tx, row);
    }),
  );
}
