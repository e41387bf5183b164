/** Machines that ask to join: from the code that they show to the node that their owner makes of them. */
import { createHash, randomInt } from 'node:crypto';
import {
  type DeviceAuthorization,
  type Enrolment,
  type EnrolmentProgress,
  type JoiningMachine,
  type NodeId,
  newId,
  type TenantId,
  userCodeAlphabet,
} from '@iocloud/contracts';
import { fingerprintOf } from '@iocloud/contracts/wire';
import { shortfalls } from '../core/enrolment/index.js';
import { recordEvent } from '../events/index.js';
import { enrol, normalisePublicKey } from '../inventory/index.js';
import { type Caller, type Database, Failure, type Queryable } from '../platform/index.js';

export const expiresInSeconds = 900;
export const intervalSeconds = 3;
/** A machine that was approved goes on to tell how it sets itself up. */
const progressHours = 24;
/** Anybody may ask: more than these waiting, in all and from one address, are turned away. */
const mostWaiting = 10_000;
const mostFromOneAddress = 100;
const maxTries = 5;

export type RandomBytes = (n: number) => Buffer;

interface Row {
  user_code: string;
  public_key: string;
  machine: JoiningMachine;
  address: string;
  status: 'pending' | 'approved' | 'denied';
  tenant_id: TenantId | null;
  node_id: NodeId | null;
  progress: Record<string, EnrolmentProgress>;
  requested_at: Date;
  expired: boolean;
}

const columns = `user_code, public_key, machine, address, status, tenant_id, node_id, progress, requested_at,
  expires_at < now() AS expired`;
const hashOf = (code: string) => createHash('sha256').update(code).digest();

/** 20⁸ codes: guessing one of those that wait takes many millions of calls with a key that may enrol (RFC 8628 §5.1). */
function newUserCode(): string {
  const letters = Array.from({ length: 8 }, () => userCodeAlphabet[randomInt(userCodeAlphabet.length)]);
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`;
}

/** Throws Failure 'unsatisfiable' with what the machine lacks. */
export async function ask(
  database: Database,
  random: RandomBytes,
  wish: { publicKey: string; machine: JoiningMachine },
  address: string,
): Promise<Pick<DeviceAuthorization, 'deviceCode' | 'userCode'>> {
  const publicKey = normalisePublicKey(wish.publicKey);
  const lacking = shortfalls(wish.machine);
  if (lacking.length > 0) {
    throw new Failure('unsatisfiable', `this machine cannot join: ${lacking.join('; ')}`);
  }
  const deviceCode = random(32).toString('base64url');
  return database.transaction(async tx => {
    await tx.query(`DELETE FROM device_authorizations WHERE requested_at < now() - make_interval(hours => $1)`, [
      progressHours,
    ]);
    const { rows } = await tx.query<{ all: number; same: number }>(
      `SELECT count(*)::int AS all, count(*) FILTER (WHERE address = $1)::int AS same FROM device_authorizations
       WHERE status = 'pending' AND expires_at > now()`,
      [address],
    );
    const { all = 0, same = 0 } = rows[0] ?? {};
    if (all >= mostWaiting || same >= mostFromOneAddress) {
      throw new Failure(
        'too-many-requests',
        'too many machines wait to be approved; try again in a quarter of an hour',
      );
    }
    for (let tries = 0; tries < maxTries; tries += 1) {
      const userCode = newUserCode();
      const { rowCount } = await tx.query(
        `INSERT INTO device_authorizations (device_code_hash, user_code, public_key, machine, address, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) ON CONFLICT (user_code) DO NOTHING`,
        [hashOf(deviceCode), userCode, publicKey, JSON.stringify(wish.machine), address, expiresInSeconds],
      );
      if (rowCount === 1) return { deviceCode, userCode };
    }
    throw new Failure('unavailable', 'no code was free; try again');
  });
}

export type Standing =
  | { status: 'pending' | 'denied' | 'expired' }
  | { status: 'approved'; nodeId: NodeId; name: string; online: boolean };

export async function standingOf(db: Queryable, deviceCode: string): Promise<Standing> {
  const { rows } = await db.query<{
    status: Row['status'];
    expired: boolean;
    node_id: NodeId | null;
    name: string | null;
    online: boolean;
  }>(
    `SELECT a.status, a.expires_at < now() AS expired, a.node_id, n.name, n.online
     FROM device_authorizations a LEFT JOIN nodes n ON n.id = a.node_id WHERE a.device_code_hash = $1`,
    [hashOf(deviceCode)],
  );
  const row = rows[0];
  if (!row) throw new Failure('not-found', 'no machine asks with this code, or it asked too long ago; start again');
  if (row.status === 'approved' && row.node_id && row.name !== null) {
    return { status: 'approved', nodeId: row.node_id, name: row.name, online: row.online };
  }
  return { status: row.status === 'denied' ? 'denied' : row.expired ? 'expired' : 'pending' };
}

export async function tell(db: Queryable, deviceCode: string, progress: EnrolmentProgress): Promise<void> {
  const { rowCount } = await db.query(
    'UPDATE device_authorizations SET progress = progress || jsonb_build_object($2::text, $3::jsonb) WHERE device_code_hash = $1',
    [hashOf(deviceCode), progress.step, JSON.stringify(progress)],
  );
  if (rowCount === 0) throw new Failure('not-found', 'no machine asks with this code, or it asked too long ago');
}

/** One that waits may be seen by whoever knows its code; one that was decided on, by the tenant that did. */
async function find(db: Queryable, tenantId: TenantId, userCode: string, lock = false): Promise<Row> {
  const { rows } = await db.query<Row>(
    `SELECT ${columns} FROM device_authorizations
     WHERE user_code = $1 AND (tenant_id IS NULL OR tenant_id = $2) ${lock ? 'FOR UPDATE' : ''}`,
    [userCode, tenantId],
  );
  if (!rows[0]) {
    throw new Failure(
      'not-found',
      `no machine shows the code ${userCode}: mistyped, or too old; the machine shows a new one`,
    );
  }
  return rows[0];
}

export async function show(db: Queryable, tenantId: TenantId, userCode: string): Promise<Enrolment> {
  return toEnrolment(await find(db, tenantId, userCode));
}

export async function approve(
  database: Database,
  random: RandomBytes,
  caller: Pick<Caller, 'tenantId' | 'userId'>,
  userCode: string,
  wish: { name?: string | undefined; shared: boolean },
): Promise<Enrolment> {
  return database.transaction(async tx => {
    const row = await find(tx, caller.tenantId, userCode, true);
    // Said twice, as a click may be.
    if (row.status === 'approved') return toEnrolment(row);
    refuseOver(row);
    const node = { id: newId('node', random), name: wish.name ?? row.machine.hostname.slice(0, 63) };
    await enrol(tx, caller, { ...node, publicKey: row.public_key, shared: wish.shared });
    await tx.query(
      `UPDATE device_authorizations SET status = 'approved', tenant_id = $2, node_id = $3 WHERE user_code = $1`,
      [userCode, caller.tenantId, node.id],
    );
    return toEnrolment({ ...row, status: 'approved', tenant_id: caller.tenantId, node_id: node.id });
  });
}

export async function deny(
  database: Database,
  caller: Pick<Caller, 'tenantId' | 'userId'>,
  userCode: string,
): Promise<Enrolment> {
  return database.transaction(async tx => {
    const row = await find(tx, caller.tenantId, userCode, true);
    if (row.status === 'denied') return toEnrolment(row);
    refuseOver(row);
    await tx.query(`UPDATE device_authorizations SET status = 'denied', tenant_id = $2 WHERE user_code = $1`, [
      userCode,
      caller.tenantId,
    ]);
    await recordEvent(tx, {
      tenantId: caller.tenantId,
      subjectKind: 'account',
      subject: caller.userId,
      reason: 'NodeDenied',
      message: `${caller.userId} denied the machine ${row.machine.hostname} (${row.address}) that showed ${userCode}`,
    });
    return toEnrolment({ ...row, status: 'denied' });
  });
}

function refuseOver({ status, expired, user_code: code }: Row): void {
  if (status !== 'pending') throw new Failure('conflict', `the machine with the code ${code} was ${status} already`);
  if (expired) throw new Failure('conflict', `the code ${code} is too old: start again on the machine`);
}

function toEnrolment(row: Row): Enrolment {
  return {
    userCode: row.user_code,
    status: row.status === 'pending' && row.expired ? 'expired' : row.status,
    machine: row.machine,
    fingerprint: fingerprintOf(row.public_key),
    address: row.address,
    requestedAt: row.requested_at.toISOString(),
    nodeId: row.node_id,
    progress: Object.values(row.progress),
  };
}
