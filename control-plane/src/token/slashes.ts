/** Slashes: taken from all stakes on a machine, a month to appeal, then burned; or back, where the appeal is upheld. */
import {
  type NodeId,
  newId,
  type SlashId,
  type SlashState,
  type TenantId,
  type VerificationId,
} from '@iocloud/contracts';
import { burnSlashedEntries, type SlashedAmount, slashEntries, unslashEntries } from '../core/billing/index.js';
import { type SlashEvent, slashParts, slashTransitions } from '../core/token/index.js';
import { recordEvents } from '../events/index.js';
import { postTokens } from '../ledger/index.js';
import { Failure, type Queryable, type Transaction, takeLock } from '../platform/index.js';
import { versionAt } from './versions.js';
import { hourMs, rulesActor, type TokenWiring, timeOf } from './wiring.js';

export interface NewSlash {
  nodeId: NodeId;
  /** Smallest units, or a part of what is there; more than there is takes all. */
  amount: bigint | { ppm: number };
  reason: string;
  evidence: string;
  verificationId: VerificationId | null;
  actor: string;
}

interface Staked {
  key: string;
  amount: bigint;
  stakerId: TenantId;
  unstakingId: string | null;
}

/** Locked: what is on its way out can be slashed as well, or unstaking in time would be a way around. */
async function slashable(tx: Transaction, nodeId: NodeId): Promise<Staked[]> {
  const { rows: stakes } = await tx.query<{ staker_id: TenantId; amount: string }>(
    'SELECT staker_id, amount::text FROM token_stakes WHERE node_id = $1 ORDER BY staker_id FOR UPDATE',
    [nodeId],
  );
  const { rows: cooling } = await tx.query<{ id: string; staker_id: TenantId; amount: string }>(
    `SELECT id, staker_id, amount::text FROM token_unstakings WHERE node_id = $1 AND state = 'cooling'
     ORDER BY id FOR UPDATE`,
    [nodeId],
  );
  return [
    ...stakes.map(({ staker_id, amount }) => ({
      key: `stake ${staker_id}`,
      amount: BigInt(amount),
      stakerId: staker_id,
      unstakingId: null,
    })),
    ...cooling.map(({ id, staker_id, amount }) => ({
      key: `unstaking ${id}`,
      amount: BigInt(amount),
      stakerId: staker_id,
      unstakingId: id,
    })),
  ];
}

/** Throws Failure 'not-found' or 'conflict'. */
export async function slash(tx: Transaction, wiring: TokenWiring, wanted: NewSlash): Promise<SlashId> {
  const { nodeId, reason, evidence, verificationId, actor } = wanted;
  const staked = await slashable(tx, nodeId);
  const there = staked.reduce((sum, { amount }) => sum + amount, 0n);
  const asked = typeof wanted.amount === 'bigint' ? wanted.amount : (there * BigInt(wanted.amount.ppm)) / 1_000_000n;
  const parts = slashParts(asked, staked);
  const { rows: owners } = await tx.query<{ tenant_id: TenantId }>('SELECT tenant_id FROM nodes WHERE id = $1', [
    nodeId,
  ]);
  const owner = owners[0]?.tenant_id;
  if (!owner) throw new Failure('not-found', `no machine ${nodeId}`);
  if (parts.length === 0) throw new Failure('conflict', `nothing is staked on ${nodeId} that could be slashed`);
  const now = await timeOf(wiring, tx);
  const { parameters } = await versionAt(tx, now);
  const id = newId('slash', wiring.random);
  await tx.query(
    `INSERT INTO token_slashes (id, node_id, tenant_id, reason, evidence, verification_id, actor, decided_at, appeal_until)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      id,
      nodeId,
      owner,
      reason,
      evidence,
      verificationId,
      actor,
      now,
      new Date(now.getTime() + parameters.appealHours * hourMs),
    ],
  );
  for (const [index, { of, amount }] of parts.entries()) {
    await tx.query(
      'INSERT INTO token_slash_parts (slash_id, part, staker_id, unstaking_id, amount) VALUES ($1, $2, $3, $4, $5)',
      [id, index + 1, of.stakerId, of.unstakingId, String(amount)],
    );
    await addTo(tx, nodeId, of, -amount);
  }
  const entries = slashEntries(
    parts.map(({ of, amount }) => ({
      tenantId: of.stakerId,
      amount,
      kind: of.unstakingId === null ? 'stake' : 'unstaking',
    })),
  );
  const posting = { key: id, kind: 'slash', memo: reason, detail: { nodeId, slashId: id }, actor, entries } as const;
  await postTokens(tx, [posting], 'the accounts of stakes do not cover them');
  const told = [owner, ...parts.map(({ of }) => of.stakerId)];
  await tell(tx, told, id, 'StakeSlashed', `stake on ${nodeId} was slashed: ${reason}`, 'warning');
  return id;
}

const addTo = (tx: Transaction, nodeId: NodeId, of: Pick<Staked, 'stakerId' | 'unstakingId'>, amount: bigint) =>
  of.unstakingId === null
    ? tx.query('UPDATE token_stakes SET amount = amount + $3::bigint WHERE node_id = $1 AND staker_id = $2', [
        nodeId,
        of.stakerId,
        String(amount),
      ])
    : tx.query('UPDATE token_unstakings SET amount = amount + $2::bigint WHERE id = $1', [
        of.unstakingId,
        String(amount),
      ]);

interface SlashRow {
  id: SlashId;
  node_id: NodeId;
  tenant_id: TenantId;
  state: SlashState;
  appeal_until: Date;
}

/** Locked, and moved on. Throws Failure 'conflict' where the event cannot happen. */
async function moveOn(tx: Transaction, row: SlashRow, event: SlashEvent, refusal: string): Promise<void> {
  const next = slashTransitions[row.state][event];
  if (next === undefined) throw new Failure('conflict', refusal);
  await tx.query('UPDATE token_slashes SET state = $2 WHERE id = $1', [row.id, next]);
}

async function locked(tx: Transaction, id: SlashId, tenantId: TenantId | null): Promise<SlashRow> {
  const { rows } = await tx.query<SlashRow>(
    `SELECT id, node_id, tenant_id, state, appeal_until FROM token_slashes
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) FOR UPDATE`,
    [id, tenantId],
  );
  if (!rows[0]) throw new Failure('not-found', `no slash ${id} of a machine of yours`);
  return rows[0];
}

/** By the supplier whose machine it was: for its third-party stakers, too. Throws Failure. */
export async function appeal(
  tx: Transaction,
  wiring: TokenWiring,
  tenantId: TenantId,
  id: SlashId,
  reason: string,
): Promise<void> {
  const row = await locked(tx, id, tenantId);
  if ((await timeOf(wiring, tx)) >= row.appeal_until) {
    throw new Failure('conflict', `${id} could be appealed until ${row.appeal_until.toISOString()}`);
  }
  await tx.query('UPDATE token_slashes SET appeal = $2 WHERE id = $1 AND appeal IS NULL', [id, reason]);
  await moveOn(tx, row, 'appeal', `${id} is ${row.state}: it can be appealed once`);
}

/** Throws Failure. */
export async function decide(
  tx: Transaction,
  id: SlashId,
  decision: 'upheld' | 'rejected',
  reason: string,
  actor: string,
): Promise<void> {
  const row = await locked(tx, id, null);
  await tx.query('UPDATE token_slashes SET decision = $2 WHERE id = $1 AND decision IS NULL', [id, reason]);
  await moveOn(
    tx,
    row,
    decision === 'upheld' ? 'uphold' : 'reject',
    `${id} is ${row.state}: there is no appeal to decide`,
  );
  const parts = await partsOf(tx, id);
  if (decision === 'upheld') await giveBack(tx, row, parts, reason, actor);
  const told = [row.tenant_id, ...parts.map(({ stakerId }) => stakerId)];
  await tell(
    tx,
    told,
    id,
    decision === 'upheld' ? 'SlashReturned' : 'SlashConfirmed',
    `the appeal was ${decision}: ${reason}`,
  );
}

/** Each part to where it came from; what was on its way out and has arrived since is available. */
async function giveBack(
  tx: Transaction,
  { id, node_id }: SlashRow,
  parts: readonly Part[],
  reason: string,
  actor: string,
): Promise<void> {
  await slashable(tx, node_id);
  const back: SlashedAmount[] = [];
  for (const part of parts) {
    const isCooling = part.unstakingId !== null && (await stillCooling(tx, part.unstakingId));
    if (part.unstakingId === null || isCooling) await addTo(tx, node_id, part, part.amount);
    const kind = part.unstakingId === null ? 'stake' : isCooling ? 'unstaking' : 'available';
    back.push({ tenantId: part.stakerId, amount: part.amount, kind });
  }
  const detail = { nodeId: node_id, slashId: id };
  const posting = {
    key: `${id}:returned`,
    kind: 'slash',
    memo: reason,
    detail,
    actor,
    entries: unslashEntries(back),
  } as const;
  await postTokens(tx, [posting], 'the accounts of what is slashed do not cover it');
}

async function stillCooling(tx: Transaction, unstakingId: string): Promise<boolean> {
  const { rows } = await tx.query(`SELECT 1 FROM token_unstakings WHERE id = $1 AND state = 'cooling'`, [unstakingId]);
  return rows.length === 1;
}

interface Part extends Pick<Staked, 'stakerId' | 'unstakingId' | 'amount'> {}

async function partsOf(db: Queryable, id: SlashId): Promise<Part[]> {
  const { rows } = await db.query<{ staker_id: TenantId; unstaking_id: string | null; amount: string }>(
    'SELECT staker_id, unstaking_id, amount::text FROM token_slash_parts WHERE slash_id = $1 ORDER BY part',
    [id],
  );
  return rows.map(({ staker_id, unstaking_id, amount }) => ({
    stakerId: staker_id,
    unstakingId: unstaking_id,
    amount: BigInt(amount),
  }));
}

/** Any constant will do, as long as every replica takes the same. */
const slashLock = 7_265_123;

/** Burns one slash whose month is over. False: there is none, or another replica is at it. */
export async function burnNext(wiring: TokenWiring): Promise<boolean> {
  return wiring.database.transaction(async tx => {
    if (!(await takeLock(tx, slashLock))) return false;
    const { rows } = await tx.query<SlashRow>(
      `SELECT id, node_id, tenant_id, state, appeal_until FROM token_slashes
       WHERE state IN ('open', 'confirmed') AND appeal_until <= $1 ORDER BY appeal_until, id LIMIT 1 FOR UPDATE`,
      [await timeOf(wiring, tx)],
    );
    const row = rows[0];
    if (!row) return false;
    const parts = await partsOf(tx, row.id);
    await moveOn(tx, row, 'expire', `${row.id} is ${row.state}`);
    const entries = burnSlashedEntries(parts.map(({ stakerId, amount }) => ({ tenantId: stakerId, amount })));
    const detail = { nodeId: row.node_id, slashId: row.id };
    const posting = {
      key: row.id,
      kind: 'burn',
      memo: 'a slash was burned',
      detail,
      actor: rulesActor,
      entries,
    } as const;
    await postTokens(tx, [posting], 'the accounts of what is slashed do not cover it');
    await tell(
      tx,
      [row.tenant_id, ...parts.map(({ stakerId }) => stakerId)],
      row.id,
      'SlashBurned',
      `${row.id} was burned`,
    );
    return true;
  });
}

const lookBackMs = 7 * 24 * hourMs;

/** Slashes for one failed proof, where the parameters at its verdict say so. False: there is none left. */
export async function slashFailedProof(wiring: TokenWiring): Promise<boolean> {
  return wiring.database.transaction(async tx => {
    if (!(await takeLock(tx, slashLock))) return false;
    const now = await timeOf(wiring, tx);
    for (const proof of await wiring.proofs.failed(tx, new Date(now.getTime() - lookBackMs), now)) {
      const { failedProofPpm: ppm } = (await versionAt(tx, proof.judgedAt)).parameters;
      const { rows } = await tx.query('SELECT 1 FROM token_slashes WHERE verification_id = $1', [proof.id]);
      if (ppm === 0 || rows.length > 0) continue;
      const there = (await slashable(tx, proof.nodeId)).reduce((sum, { amount }) => sum + amount, 0n);
      if ((there * BigInt(ppm)) / 1_000_000n === 0n) continue;
      const reason = `the proof ${proof.id} has failed: ${proof.reason}`;
      const wanted = { nodeId: proof.nodeId, amount: { ppm }, reason, evidence: `verification ${proof.id}` };
      await slash(tx, wiring, { ...wanted, verificationId: proof.id, actor: rulesActor });
      return true;
    }
    return false;
  });
}

const tell = (
  tx: Transaction,
  tenantIds: readonly TenantId[],
  id: SlashId,
  reason: string,
  message: string,
  severity: 'info' | 'warning' = 'info',
) =>
  recordEvents(
    tx,
    [...new Set(tenantIds)].map(tenantId => ({
      tenantId,
      subjectKind: 'account',
      subject: id,
      reason,
      message,
      severity,
    })),
  );
