/** The second factor of each user. A wrong code counts even though its call fails; five of them lock for a quarter of an hour. */
import type { SecondFactor, TenantId, UserId } from '@iocloud/contracts';
import { type Caller, type Database, Failure, type Seal, type Transaction } from '../platform/index.js';
import { authenticatorUri, stepOfCode } from './totp.js';
import { tell } from './world.js';

export interface FactorPorts {
  database: Database;
  seal: Seal;
  nowMs(): number;
  random(n: number): Uint8Array;
}

interface Row {
  secret: Buffer;
  proven: boolean;
  last_step: number;
  locked: boolean;
}

const secretBytes = 20;
const mostWrongCodes = 5;
const context = (userId: UserId) => `second factor of ${userId}`;
type Verdict = 'right' | 'wrong' | 'locked' | 'none' | 'unproven';

/** Takes a code of the caller's, for good: it is right once. Throws Failure. */
export async function demandCode(ports: FactorPorts, caller: Caller, code: string, proving = false): Promise<void> {
  const verdict = await ports.database.transaction(tx => judge(ports, tx, caller, code, proving));
  if (verdict === 'right') return;
  if (verdict === 'none' || verdict === 'unproven') {
    throw new Failure('conflict', 'you have no second factor yet: `iocloud payout second-factor` makes one');
  }
  if (verdict === 'locked') throw new Failure('too-many-requests', 'too many wrong codes: wait a quarter of an hour');
  throw new Failure('permission-denied', 'the code is wrong, was used before, or its time is over');
}

async function judge(
  ports: FactorPorts,
  tx: Transaction,
  caller: Caller,
  code: string,
  proving: boolean,
): Promise<Verdict> {
  const factor = await read(tx, caller.userId);
  if (!factor) return 'none';
  if (factor.locked) return 'locked';
  if (!factor.proven && !proving) return 'unproven';
  const secret = Buffer.from(ports.seal.open(factor.secret, context(caller.userId)), 'hex');
  const step = stepOfCode(secret, code, ports.nowMs(), factor.last_step);
  if (step !== null) {
    await tx.query(
      `UPDATE second_factors SET last_step = $2, wrong_codes = 0, proven_at = coalesce(proven_at, now()) WHERE user_id = $1`,
      [caller.userId, step],
    );
    return 'right';
  }
  await tx.query(
    `UPDATE second_factors SET wrong_codes = (wrong_codes + 1) % $2,
       locked_until = CASE WHEN wrong_codes + 1 >= $2 THEN now() + interval '15 minutes' ELSE locked_until END
     WHERE user_id = $1`,
    [caller.userId, mostWrongCodes],
  );
  return 'wrong';
}

async function read(tx: Transaction, userId: UserId): Promise<Row | null> {
  const { rows } = await tx.query<Row>(
    `SELECT secret, proven_at IS NOT NULL AS proven, last_step, locked_until > now() AS locked
     FROM second_factors WHERE user_id = $1 FOR UPDATE`,
    [userId],
  );
  return rows[0] ?? null;
}

/** In place of one that has been proven only with a code of it. */
export async function makeSecondFactor(
  ports: FactorPorts,
  caller: Caller,
  code: string | undefined,
): Promise<SecondFactor> {
  const before = await ports.database.transaction(tx => read(tx, caller.userId));
  if (before?.proven) {
    if (code === undefined) throw new Failure('conflict', 'you have a second factor: give a code of it to replace it');
    await demandCode(ports, caller, code);
  }
  const secret = ports.random(secretBytes);
  const sealed = ports.seal.seal(Buffer.from(secret).toString('hex'), context(caller.userId));
  await ports.database.transaction(async tx => {
    const { rowCount } = await tx.query(
      `INSERT INTO second_factors (user_id, tenant_id, secret) VALUES ($1, $2, $3)
       ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, proven_at = NULL, last_step = 0
       WHERE second_factors.proven_at IS NULL OR $4`,
      [caller.userId, caller.tenantId, sealed, code !== undefined],
    );
    if (rowCount !== 1)
      throw new Failure('conflict', 'you have a second factor by now: give a code of it to replace it');
    await tell(
      tx,
      caller.tenantId,
      'SecondFactorMade',
      `${caller.userId} made a new second factor for pay-outs`,
      'warning',
    );
  });
  return { proven: false, uri: authenticatorUri(secret, caller.userId) };
}

export async function dropSecondFactor(tx: Transaction, userId: UserId, operator: UserId): Promise<void> {
  const { rows } = await tx.query<{ tenant_id: TenantId }>(
    'DELETE FROM second_factors WHERE user_id = $1 RETURNING tenant_id',
    [userId],
  );
  const [row] = rows;
  if (!row) throw new Failure('not-found', `${userId} has no second factor`);
  await tell(
    tx,
    row.tenant_id,
    'SecondFactorDropped',
    `${operator} took away the second factor of ${userId}`,
    'warning',
  );
}
