/** What people do with pay-outs: ask, confirm, take back; and the schedule by which earnings go out by themselves. */
import {
  newId,
  type PayoutAddressId,
  type PayoutId,
  type PayoutSchedule,
  parseUnits,
  type TenantId,
  unitsInWords,
} from '@iocloud/contracts';
import { afterPayoutEvent } from '../core/settlement/index.js';
import { payableBalance } from '../ledger/index.js';
import { type Caller, Failure, type Queryable, type Transaction } from '../platform/index.js';
import { leftOfLimit } from './limits.js';
import { findAddress } from './payout-addresses.js';
import { findPayout, insertPayout, movePayouts, type Payout } from './payout-store.js';
import type { SettledAsset } from './terms.js';
import { tell, type World } from './world.js';

export interface Wanted {
  source: 'available' | 'earnings';
  asset: SettledAsset;
  amount: string;
  addressId: PayoutAddressId;
}

/** Throws Failure. */
async function usableAddress(db: Queryable, tenantId: TenantId, id: PayoutAddressId): Promise<string> {
  const found = await findAddress(db, tenantId, id);
  if (!found) throw new Failure('not-found', `no payout address ${id}: \`iocloud payout address add\` allows one`);
  if (found.isUsable) return found.address;
  throw new Failure('conflict', `${found.address} can be paid out to from ${found.usableAt.toISOString()} on`);
}

export async function request(world: World, tx: Transaction, caller: Caller, wanted: Wanted): Promise<Payout> {
  const { tenantId, userId } = caller;
  const { source, asset, addressId } = wanted;
  if (!world.terms.mints.has(asset)) throw new Failure('bad-request', `body.asset: ${asset} is not settled here`);
  const amount = parseUnits(wanted.amount, asset) ?? 0n;
  const words = (units: bigint) => `${unitsInWords(units, asset)} ${asset}`;
  const least = world.terms.leastPayout[asset];
  if (amount < least) throw new Failure('bad-request', `body.amount: the least that is paid out is ${words(least)}`);
  const address = await usableAddress(tx, tenantId, addressId);
  const left = await leftOfLimit(tx, world.terms, tenantId, asset);
  if (amount > left) throw new Failure('conflict', `of the limit of 24 hours ${words(left)} are left`);
  const balance = await payableBalance(tx, tenantId, source, asset);
  if (amount > balance) throw new Failure('conflict', `you have ${words(balance)} in ${source}`);
  const id = newId('payout', world.random);
  const terms = { id, tenantId, source, asset, amount, addressId, address };
  await insertPayout(tx, { ...terms, state: 'requested', requestedBy: userId, scheduleKey: null });
  await tell(tx, tenantId, 'PayoutRequested', `${userId} asked for payout ${id} of ${words(amount)} to ${address}`);
  return demandPayout(tx, tenantId, id);
}

export async function demandPayout(
  db: Queryable,
  tenantId: TenantId | null,
  id: PayoutId,
  lock = false,
): Promise<Payout> {
  const found = await findPayout(db, tenantId, id, lock);
  if (!found) throw new Failure('not-found', `no payout ${id}`);
  return found;
}

/** The code has been taken. Repeated, it is confirmed all the same. */
export async function confirm(tx: Transaction, caller: Caller, id: PayoutId): Promise<Payout> {
  const payout = await demandPayout(tx, caller.tenantId, id, true);
  if (afterPayoutEvent(payout.state, 'confirm') === null) {
    if (payout.confirmedBy !== null) return payout;
    throw new Failure('conflict', `payout ${id} is ${payout.state}`);
  }
  // Its address may have been removed since.
  await usableAddress(tx, caller.tenantId, payout.addressId);
  await movePayouts(tx, [id], 'confirm', { confirmedBy: caller.userId });
  await tell(tx, caller.tenantId, 'PayoutConfirmed', `${caller.userId} confirmed payout ${id}`);
  return demandPayout(tx, caller.tenantId, id);
}

export async function cancel(tx: Transaction, caller: Caller, id: PayoutId): Promise<Payout> {
  const payout = await demandPayout(tx, caller.tenantId, id, true);
  if (payout.state === 'cancelled') return payout;
  if (afterPayoutEvent(payout.state, 'cancel') === null) {
    throw new Failure('conflict', `payout ${id} is ${payout.state}: what is signed cannot be taken back`);
  }
  await movePayouts(tx, [id], 'cancel', { reason: `taken back by ${caller.userId}` });
  await tell(tx, caller.tenantId, 'PayoutCancelled', `${caller.userId} took payout ${id} back`);
  return demandPayout(tx, caller.tenantId, id);
}

export async function readSchedule(db: Queryable, tenantId: TenantId): Promise<PayoutSchedule> {
  const { rows } = await db.query<{
    address_id: PayoutAddressId;
    threshold: string;
    every: 'hour' | 'day';
    next_at: Date;
  }>('SELECT address_id, threshold::text, every, next_at FROM payout_schedules WHERE tenant_id = $1', [tenantId]);
  const [row] = rows;
  if (!row) throw new Failure('not-found', 'earnings are paid out only when asked');
  const threshold = unitsInWords(BigInt(row.threshold), 'IO');
  return { addressId: row.address_id, threshold, every: row.every, nextAt: row.next_at.toISOString() };
}

export async function writeSchedule(
  tx: Transaction,
  caller: Caller,
  { addressId, threshold, every }: Pick<PayoutSchedule, 'addressId' | 'threshold' | 'every'>,
): Promise<PayoutSchedule> {
  const units = parseUnits(threshold, 'IO');
  if (units === null) throw new Failure('bad-request', 'body.threshold: IO has 8 decimals');
  if (!(await findAddress(tx, caller.tenantId, addressId)))
    throw new Failure('not-found', `no payout address ${addressId}`);
  await tx.query(
    `INSERT INTO payout_schedules (tenant_id, address_id, threshold, every, next_at, set_by)
     VALUES ($1, $2, $3, $4, date_trunc($4, now()) + ('1 ' || $4)::interval, $5)
     ON CONFLICT (tenant_id) DO UPDATE SET address_id = excluded.address_id, threshold = excluded.threshold,
       every = excluded.every, next_at = excluded.next_at, set_by = excluded.set_by`,
    [caller.tenantId, addressId, String(units), every, caller.userId],
  );
  const message = `${caller.userId} set earnings to go out each ${every} from ${threshold} IO on`;
  await tell(tx, caller.tenantId, 'PayoutScheduleSet', message, 'warning');
  return readSchedule(tx, caller.tenantId);
}
