/** What machines are to the token rules: who owns them, what they have, how long they were online. */
import type { Device, NodeId, TenantId } from '@iocloud/contracts';
import { modelOf } from '../core/matching/index.js';
import type { Queryable } from '../platform/index.js';
import type { TokenMachines } from '../token/ports.js';

export const stakedMachines: TokenMachines = {
  /**
   * Online from when a machine came until it went, or was heard last. What it is, and whether it is offered, is as it stands
   * now.
   */
  inHour: async (db: Queryable, from: Date, until: Date) => {
    const { rows } = await db.query<{ id: NodeId; tenant_id: TenantId; devices: Device[]; seconds: number }>(
      `WITH changes AS (
         SELECT node_id, online, at, lead(at) OVER (PARTITION BY node_id ORDER BY id) AS until
         FROM node_presence WHERE at < $2),
       spans AS (
         SELECT c.node_id, greatest(c.at, $1) AS begins, least(coalesce(c.until, h.at), $2) AS ends
         FROM changes c LEFT JOIN node_heartbeats h ON h.node_id = c.node_id WHERE c.online)
       SELECT n.id, n.tenant_id, n.inventory->'devices' AS devices, coalesce((
         SELECT floor(sum(extract(epoch FROM s.ends - s.begins))) FROM spans s
         WHERE s.node_id = n.id AND s.ends > s.begins), 0)::int AS seconds
       FROM nodes n WHERE n.shared AND n.inventory IS NOT NULL AND jsonb_array_length(n.inventory->'devices') > 0
         AND (n.removed_at IS NULL OR n.removed_at > $1) AND n.created_at < $2 ORDER BY n.id`,
      [from, until],
    );
    return rows.map(({ id, tenant_id, devices, seconds }) => ({
      nodeId: id,
      ownerId: tenant_id,
      devices: devices.map(device => ({ uuid: device.uuid, model: modelOf(device) })),
      onlineSeconds: seconds,
    }));
  },

  ownerOf: async (db: Queryable, nodeId: NodeId) => {
    const { rows } = await db.query<{ tenant_id: TenantId }>(
      'SELECT tenant_id FROM nodes WHERE id = $1 AND removed_at IS NULL',
      [nodeId],
    );
    return rows[0]?.tenant_id ?? null;
  },

  modelsOf: async (db: Queryable, nodeIds: NodeId[]) => {
    const { rows } = await db.query<{ id: NodeId; devices: Device[] }>(
      `SELECT id, coalesce(inventory->'devices', '[]') AS devices FROM nodes WHERE id = ANY ($1)`,
      [nodeIds],
    );
    return new Map(rows.map(({ id, devices }) => [id, devices.map(modelOf)]));
  },

  stakesChanged: async (db: Queryable, nodeIds: NodeId[]) => {
    await db.query('INSERT INTO machine_changes (node_id) SELECT unnest($1::text[])', [nodeIds]);
  },
};

/** Of longer ago than any hour that could still be made up for: proofs are kept for 30 days. */
const keptFor = "interval '31 days'";

/** What came after a row tells until when it held: the latest of each machine stays. */
export async function forgetPresence(db: Queryable): Promise<void> {
  await db.query(
    `DELETE FROM node_presence p WHERE at < now() - ${keptFor} AND EXISTS (
       SELECT FROM node_presence later WHERE later.node_id = p.node_id AND later.id > p.id
         AND later.at < now() - ${keptFor})`,
  );
}
