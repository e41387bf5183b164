/** Hours of the schedule that are done: what was found, what was given. Only ever added to. */
import {
  type EmittedHour,
  type MachineHour,
  type NodeId,
  type Reward,
  type RewardKind,
  type TenantId,
  unitsInWords,
} from '@iocloud/contracts';
import type { Split } from '../core/token/index.js';
import type { Queryable, Transaction } from '../platform/index.js';

export async function lastHour(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ hour: number }>('SELECT coalesce(max(hour), 0) AS hour FROM token_hours');
  return rows[0]?.hour ?? 0;
}

export interface NewHour {
  hour: number;
  version: number;
  scheduled: bigint;
  split: Split;
}

export async function insertHour(tx: Transaction, { hour, version, scheduled, split }: NewHour): Promise<void> {
  const { minted, rounding, machines, rewards } = split;
  await tx.query(
    `INSERT INTO token_hours (hour, version, scheduled, minted, rounding, minted_through, machines, eligible)
     SELECT $1, $2, $3, $4, $5, coalesce((SELECT minted_through FROM token_hours ORDER BY hour DESC LIMIT 1), 0) + $4::bigint, $6, $7`,
    [
      hour,
      version,
      String(scheduled),
      String(minted),
      String(rounding),
      machines.length,
      machines.filter(({ weight }) => weight > 0n).length,
    ],
  );
  await tx.query(
    `INSERT INTO token_machine_hours (hour, node_id, supplier_id, online_seconds, devices, stake, minimum_stake,
       delegations, delegation_ppm, referrer_id, weight, reward, refusal)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::jsonb[], $6::bigint[], $7::bigint[], $8::jsonb[],
       $9::int[], $10::text[], $11::numeric[], $12::bigint[], $13::text[])`,
    [
      hour,
      machines.map(({ machine }) => machine.nodeId),
      machines.map(({ machine }) => machine.supplierId),
      machines.map(({ machine }) => machine.onlineSeconds),
      machines.map(({ machine }) => JSON.stringify(machine.devices)),
      machines.map(({ stake }) => String(stake)),
      machines.map(({ minimum }) => String(minimum)),
      machines.map(({ machine }) =>
        JSON.stringify(machine.delegations.map(({ stakerId, amount }) => ({ stakerId, amount: String(amount) }))),
      ),
      machines.map(({ machine }) => machine.delegationPpm),
      machines.map(({ machine }) => machine.referrerId),
      machines.map(({ weight }) => String(weight)),
      machines.map(({ reward }) => String(reward)),
      machines.map(({ refusal }) => refusal),
    ],
  );
  await tx.query(
    `INSERT INTO token_rewards (hour, tenant_id, kind, node_id, amount)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[])`,
    [
      hour,
      rewards.map(({ tenantId }) => tenantId),
      rewards.map(({ kind }) => kind),
      rewards.map(({ nodeId }) => nodeId ?? ''),
      rewards.map(({ amount }) => String(amount)),
    ],
  );
}

const io = (units: string) => unitsInWords(BigInt(units), 'IO');

/** Newest first. */
export async function listHours(
  db: Queryable,
  beginOf: (hour: number) => Date,
  below: number,
  limit: number,
): Promise<EmittedHour[]> {
  const { rows } = await db.query<{
    hour: number;
    version: number;
    scheduled: string;
    minted: string;
    rounding: string;
    machines: number;
    eligible: number;
  }>(
    `SELECT hour, version, scheduled::text, minted::text, rounding::text, machines, eligible
     FROM token_hours WHERE hour < $1 ORDER BY hour DESC LIMIT $2`,
    [below, limit],
  );
  return rows.map(({ hour, version, scheduled, minted, rounding, machines, eligible }) => ({
    hour,
    begins: beginOf(hour).toISOString(),
    scheduled: io(scheduled),
    minted: io(minted),
    rounding: io(rounding),
    machines,
    eligible,
    version,
  }));
}

export interface RewardPlace {
  hour: number;
  kind: string;
  nodeId: string;
}

/** The tenant's, newest hour first. */
export async function listRewards(
  db: Queryable,
  tenantId: TenantId,
  beginOf: (hour: number) => Date,
  after: RewardPlace | null,
  limit: number,
): Promise<Reward[]> {
  const { rows } = await db.query<{ hour: number; kind: RewardKind; node_id: NodeId | ''; amount: string }>(
    `SELECT hour, kind, node_id, amount::text FROM token_rewards
     WHERE tenant_id = $1 AND ($2::int IS NULL OR (hour, kind, node_id) < ($2, $3, $4))
     ORDER BY hour DESC, kind DESC, node_id DESC LIMIT $5`,
    [tenantId, after?.hour ?? null, after?.kind ?? null, after?.nodeId ?? null, limit],
  );
  return rows.map(({ hour, kind, node_id, amount }) => ({
    hour,
    begins: beginOf(hour).toISOString(),
    kind,
    nodeId: node_id === '' ? null : node_id,
    amount: io(amount),
  }));
}

/** Of a machine while it was the tenant's, newest first. */
export async function listMachineHours(
  db: Queryable,
  tenantId: TenantId,
  nodeId: NodeId,
  below: number,
  limit: number,
): Promise<MachineHour[]> {
  const { rows } = await db.query<{
    hour: number;
    online_seconds: number;
    devices: MachineHour['devices'];
    stake: string;
    minimum_stake: string;
    weight: string;
    reward: string;
    refusal: string;
  }>(
    `SELECT hour, online_seconds, devices, stake::text, minimum_stake::text, weight::text, reward::text, refusal
     FROM token_machine_hours WHERE node_id = $1 AND supplier_id = $2 AND hour < $3 ORDER BY hour DESC LIMIT $4`,
    [nodeId, tenantId, below, limit],
  );
  return rows.map(({ hour, online_seconds, devices, stake, minimum_stake, weight, reward, refusal }) => ({
    hour,
    nodeId,
    onlineSeconds: online_seconds,
    devices,
    stake: io(stake),
    minimumStake: io(minimum_stake),
    weight,
    reward: io(reward),
    refusal,
  }));
}

/** The last hour in which anybody got anything, with all weights together; null: there was none. */
export async function lastRewarded(db: Queryable): Promise<{ hour: number; minted: bigint; weight: bigint } | null> {
  const { rows } = await db.query<{ hour: number; minted: string; weight: string }>(
    `SELECT h.hour, h.minted::text, (SELECT sum(weight)::text FROM token_machine_hours m WHERE m.hour = h.hour) AS weight
     FROM token_hours h WHERE h.minted > 0 ORDER BY h.hour DESC LIMIT 1`,
  );
  const row = rows[0];
  return row ? { hour: row.hour, minted: BigInt(row.minted), weight: BigInt(row.weight) } : null;
}
