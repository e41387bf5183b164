/** The addresses that a tenant's money may go to. A new one waits, so that who was robbed of a key has time to see it. */
import { newId, type PayoutAddress, type PayoutAddressId, type TenantId } from '@iocloud/contracts';
import { type Caller, Failure, type Queryable, type Transaction } from '../platform/index.js';
import { tell, type World } from './world.js';

interface Row {
  id: PayoutAddressId;
  address: string;
  label: string;
  added_by: string;
  usable_at: Date;
}

const toAddress = (row: Row): PayoutAddress => ({
  id: row.id,
  address: row.address,
  label: row.label,
  addedBy: row.added_by,
  usableAt: row.usable_at.toISOString(),
});

export async function listAddresses(db: Queryable, tenantId: TenantId): Promise<PayoutAddress[]> {
  const { rows } = await db.query<Row>(
    `SELECT id, address, label, added_by, usable_at FROM payout_addresses
     WHERE tenant_id = $1 AND removed_at IS NULL ORDER BY added_at, id`,
    [tenantId],
  );
  return rows.map(toAddress);
}

/** Null: it is no address of this tenant's, or no longer. */
export async function findAddress(
  db: Queryable,
  tenantId: TenantId,
  id: PayoutAddressId,
): Promise<{ address: string; isUsable: boolean; usableAt: Date } | null> {
  const { rows } = await db.query<{ address: string; is_usable: boolean; usable_at: Date }>(
    `SELECT address, usable_at <= now() AS is_usable, usable_at FROM payout_addresses
     WHERE id = $1 AND tenant_id = $2 AND removed_at IS NULL`,
    [id, tenantId],
  );
  const [row] = rows;
  return row ? { address: row.address, isUsable: row.is_usable, usableAt: row.usable_at } : null;
}

/** Throws Failure 'bad-request' for what would lose the money: tokens sent to what is no wallet are nobody's. */
export async function demandWallet(world: World, address: string): Promise<void> {
  const { isAddress, isOffCurveAddress } = await import('@solana/kit');
  const { SYSTEM_PROGRAM_ADDRESS } = await import('@solana-program/system');
  const refuse = (why: string) => new Failure('bad-request', `body.address: ${why}`);
  if (!isAddress(address)) throw refuse('it is no Solana address');
  if (isOffCurveAddress(address))
    throw refuse('no key can sign for it: give the address of a wallet, not of an account of a program');
  if (address === world.treasury || address === world.feePayer) throw refuse('it is one of this control plane’s own');
  const [account] = await world.chain.accounts([address]);
  if (account && account.owner !== SYSTEM_PROGRAM_ADDRESS) {
    throw refuse(`it is an account of program ${account.owner}: give the address of the wallet that owns it`);
  }
}

export async function addAddress(
  world: World,
  tx: Transaction,
  caller: Caller,
  { address, label }: { address: string; label: string },
): Promise<PayoutAddress> {
  const { rows } = await tx.query<Row>(
    `INSERT INTO payout_addresses (id, tenant_id, address, label, added_by, usable_at)
     VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
     ON CONFLICT (tenant_id, address) WHERE removed_at IS NULL DO NOTHING
     RETURNING id, address, label, added_by, usable_at`,
    [
      ...[newId('payoutAddress', world.random), caller.tenantId, address, label, caller.userId],
      world.terms.addressWaitSeconds,
    ],
  );
  const [row] = rows;
  if (!row) throw new Failure('already-exists', `${address} is on your list already`);
  const message = `${caller.userId} allowed pay-outs to ${address} from ${row.usable_at.toISOString()}; if you do not know it, remove it now`;
  await tell(tx, caller.tenantId, 'PayoutAddressAdded', message, 'warning');
  return toAddress(row);
}

export async function removeAddress(tx: Transaction, caller: Caller, id: PayoutAddressId): Promise<void> {
  const { rows } = await tx.query<{ address: string }>(
    `UPDATE payout_addresses SET removed_at = now() WHERE id = $1 AND tenant_id = $2 AND removed_at IS NULL RETURNING address`,
    [id, caller.tenantId],
  );
  if (!rows[0]) throw new Failure('not-found', `no payout address ${id}`);
  await tx.query('DELETE FROM payout_schedules WHERE address_id = $1', [id]);
  await tell(tx, caller.tenantId, 'PayoutAddressRemoved', `${caller.userId} removed ${rows[0].address} from pay-outs`);
}
