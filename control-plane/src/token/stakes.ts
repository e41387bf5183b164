/** Stakes on machines: by their suppliers and, where those take it, by third parties; and their way out. */
import {
  type NodeId,
  newId,
  type Stake,
  type TenantId,
  type Unstaking,
  type UnstakingId,
  unitsInWords,
} from '@iocloud/contracts';
import { cooledEntries, stakeEntries, unstakeEntries } from '../core/billing/index.js';
import { postTokens, type TokenPosting } from '../ledger/index.js';
import { Failure, type Queryable, type Transaction, takeLock } from '../platform/index.js';
import { settingsOf } from './settings.js';
import { versionAt } from './versions.js';
import { hourMs, rulesActor, type TokenWiring, timeOf } from './wiring.js';

export interface StakeCall {
  /** Of the caller; unique for its tenant. */
  key: string;
  tenantId: TenantId;
  actor: string;
  nodeId: NodeId;
  amount: bigint;
}

const io = (units: bigint) => unitsInWords(units, 'IO');

/** Throws Failure 'not-found' for a machine that the tenant may not stake on, whether there is one or not. */
export async function addStake(
  tx: Transaction,
  { machines }: TokenWiring,
  { key, tenantId, actor, nodeId, amount, from }: StakeCall & { from: 'available' | 'earnings' },
): Promise<void> {
  const owner = await machines.ownerOf(tx, nodeId);
  const isOpen = owner === tenantId || (owner !== null && (await settingsOf(tx, owner)).delegationPpm !== null);
  if (!isOpen) throw new Failure('not-found', `no machine ${nodeId} of yours, or that takes third-party stake`);
  await tx.query(
    `INSERT INTO token_stakes (node_id, staker_id, amount) VALUES ($1, $2, $3)
     ON CONFLICT (node_id, staker_id) DO UPDATE SET amount = token_stakes.amount + excluded.amount`,
    [nodeId, tenantId, String(amount)],
  );
  const posting: TokenPosting = {
    key: `${tenantId}:${key}`,
    kind: 'stake',
    memo: `stake on ${nodeId}`,
    detail: { nodeId, from },
    actor,
    entries: stakeEntries(tenantId, from, amount),
  };
  const [posted] = await postTokens(tx, [posting], `you have less than ${io(amount)} IO in ${from}`);
  // The answer to this key has been forgotten; the transaction, and with it the row above, must not count twice.
  if (!posted?.isNew) throw new Failure('conflict', 'this Idempotency-Key has been used for a stake before');
}

/** From now on it earns nothing, and it cannot be taken back. Throws Failure. */
export async function removeStake(tx: Transaction, wiring: TokenWiring, call: StakeCall): Promise<Unstaking> {
  const { tenantId, actor, nodeId, amount } = call;
  const { rowCount } = await tx.query(
    'UPDATE token_stakes SET amount = amount - $3::bigint WHERE node_id = $1 AND staker_id = $2 AND amount >= $3::bigint',
    [nodeId, tenantId, String(amount)],
  );
  if (rowCount !== 1) throw new Failure('conflict', `you have staked less than ${io(amount)} IO on ${nodeId}`);
  const now = await timeOf(wiring, tx);
  const { parameters } = await versionAt(tx, now);
  const id = newId('unstaking', wiring.random);
  const { rows } = await tx.query<UnstakingRow>(
    `INSERT INTO token_unstakings (id, node_id, staker_id, amount, requested_at, release_at)
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${unstakingColumns}`,
    [id, nodeId, tenantId, String(amount), now, new Date(now.getTime() + parameters.cooldownHours * hourMs)],
  );
  const posting: TokenPosting = {
    key: id,
    kind: 'stake',
    memo: `stake taken off ${nodeId}`,
    detail: { nodeId, unstakingId: id },
    actor,
    entries: unstakeEntries(tenantId, amount),
  };
  await postTokens(tx, [posting], 'the account of stakes does not cover them');
  return toUnstaking(rows[0] as UnstakingRow);
}

interface UnstakingRow {
  id: UnstakingId;
  node_id: NodeId;
  staker_id: TenantId;
  amount: string;
  state: Unstaking['state'];
  requested_at: Date;
  release_at: Date;
}
const unstakingColumns = 'id, node_id, staker_id, amount::text, state, requested_at, release_at';
const toUnstaking = ({ id, node_id, amount, state, requested_at, release_at }: UnstakingRow): Unstaking => ({
  id,
  nodeId: node_id,
  amount: io(BigInt(amount)),
  state,
  requestedAt: requested_at.toISOString(),
  releaseAt: release_at.toISOString(),
});

/** The tenant's, newest first. */
export async function listUnstakings(
  db: Queryable,
  tenantId: TenantId,
  after: string | undefined,
  limit: number,
): Promise<Unstaking[]> {
  const { rows } = await db.query<UnstakingRow>(
    `SELECT ${unstakingColumns} FROM token_unstakings u WHERE staker_id = $1 AND ($2::text IS NULL OR
       (requested_at, id) < (SELECT requested_at, id FROM token_unstakings WHERE id = $2 AND staker_id = $1))
     ORDER BY requested_at DESC, id DESC LIMIT $3`,
    [tenantId, after ?? null, limit],
  );
  return rows.map(toUnstaking);
}

/** Any constant will do, as long as every replica takes the same. */
const releaseLock = 7_265_121;
const releasedAtOnce = 200;

/** Makes what has cooled down available. False: there is nothing, or another replica is at it. */
export async function releaseCooled(wiring: TokenWiring): Promise<boolean> {
  return wiring.database.transaction(async tx => {
    if (!(await takeLock(tx, releaseLock))) return false;
    const { rows } = await tx.query<UnstakingRow>(
      `UPDATE token_unstakings SET state = 'released' WHERE id IN (
         SELECT id FROM token_unstakings WHERE state = 'cooling' AND release_at <= $1
         ORDER BY release_at, id LIMIT $2 FOR UPDATE) RETURNING ${unstakingColumns}`,
      [await timeOf(wiring, tx), releasedAtOnce],
    );
    const left = rows.filter(({ amount }) => BigInt(amount) > 0n);
    await postTokens(
      tx,
      left.map(({ id, node_id, staker_id, amount }) => ({
        key: `${id}:released`,
        kind: 'stake',
        memo: `stake of ${node_id} has cooled down`,
        detail: { nodeId: node_id, unstakingId: id },
        actor: rulesActor,
        entries: cooledEntries(staker_id, BigInt(amount)),
      })),
      'the account of what cools down does not cover it',
    );
    return rows.length > 0;
  });
}

export interface StakeRow {
  nodeId: NodeId;
  stakerId: TenantId;
  amount: bigint;
}

/** What was staked throughout this time: the least of each stake from its beginning to its end. */
export async function stakesThroughout(db: Queryable, from: Date, until: Date): Promise<StakeRow[]> {
  const { rows } = await db.query<{ node_id: NodeId; staker_id: TenantId; amount: string }>(
    `SELECT s.node_id, s.staker_id, least(before.amount, meanwhile.amount)::text AS amount
     FROM token_stakes s
     CROSS JOIN LATERAL (
       SELECT amount FROM token_stake_history h WHERE h.node_id = s.node_id AND h.staker_id = s.staker_id AND h.at <= $1
       ORDER BY h.at DESC, h.id DESC LIMIT 1) before
     CROSS JOIN LATERAL (
       SELECT min(amount) AS amount FROM token_stake_history h
       WHERE h.node_id = s.node_id AND h.staker_id = s.staker_id AND h.at > $1 AND h.at < $2) meanwhile
     WHERE least(before.amount, meanwhile.amount) > 0 ORDER BY s.node_id, s.staker_id`,
    [from, until],
  );
  return rows.map(({ node_id, staker_id, amount }) => ({
    nodeId: node_id,
    stakerId: staker_id,
    amount: BigInt(amount),
  }));
}

/** All stake on each of these machines now; those without any are left out. */
export async function stakeOn(db: Queryable, nodeIds: readonly NodeId[]): Promise<Map<NodeId, bigint>> {
  const { rows } = await db.query<{ node_id: NodeId; amount: string }>({
    name: 'stake-on-machines',
    text: `SELECT node_id, sum(amount)::text AS amount FROM token_stakes
           WHERE node_id = ANY ($1) AND amount > 0 GROUP BY node_id`,
    values: [nodeIds],
  });
  return new Map(rows.map(({ node_id, amount }) => [node_id, BigInt(amount)]));
}

interface OwnRow {
  node_id: NodeId;
  staker_id: TenantId;
  owner_id: TenantId;
  amount: string;
  machine_stake: string;
}

/** The tenant's own, and what others have staked on its machines. */
export async function listStakes(
  db: Queryable,
  tenantId: TenantId,
  minimumOf: (nodeIds: NodeId[]) => Promise<ReadonlyMap<NodeId, bigint>>,
  nodeId: NodeId | null = null,
): Promise<Stake[]> {
  const { rows } = await db.query<OwnRow>(
    `SELECT s.node_id, s.staker_id, n.tenant_id AS owner_id, s.amount::text,
       (SELECT sum(amount)::text FROM token_stakes a WHERE a.node_id = s.node_id) AS machine_stake
     FROM token_stakes s JOIN nodes n ON n.id = s.node_id
     WHERE (s.staker_id = $1 OR n.tenant_id = $1) AND s.amount > 0 AND ($2::text IS NULL OR s.node_id = $2)
     ORDER BY s.node_id, s.staker_id`,
    [tenantId, nodeId],
  );
  const mine = rows.filter(({ owner_id }) => owner_id === tenantId).map(({ node_id }) => node_id);
  const minimum = await minimumOf([...new Set(mine)]);
  return rows.map(({ node_id, staker_id, owner_id, amount, machine_stake }) => {
    const isMine = owner_id === tenantId;
    const least = minimum.get(node_id);
    return {
      nodeId: node_id,
      role: staker_id !== tenantId ? 'received' : isMine ? 'own' : 'delegated',
      amount: io(BigInt(amount)),
      machineStake: isMine ? io(BigInt(machine_stake)) : null,
      minimumStake: isMine && least !== undefined ? io(least) : null,
    };
  });
}
