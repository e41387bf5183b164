/** Pay-outs that a supplier has asked for once and for all: above a threshold, each hour or each day. */
import { newId, type PayoutAddressId, type TenantId } from '@iocloud/contracts';
import { payableBalance } from '../ledger/index.js';
import { leftOfLimit } from './limits.js';
import { insertPayout } from './payout-store.js';
import type { World } from './world.js';

interface Due {
  tenant_id: TenantId;
  address_id: PayoutAddressId;
  address: string;
  listed: boolean;
  threshold: string;
  next_at: Date;
  set_by: string;
}

export async function runSchedules(world: World): Promise<void> {
  while (await runNext(world)) {
    // One at a time, each in its own transaction.
  }
}

async function runNext(world: World): Promise<boolean> {
  return world.database.transaction(async tx => {
    const { rows } = await tx.query<Due>(
      `SELECT s.tenant_id, s.address_id, a.address, s.threshold::text, s.next_at, s.set_by,
         a.removed_at IS NULL AND a.usable_at <= now() AS listed
       FROM payout_schedules s JOIN payout_addresses a ON a.id = s.address_id
       WHERE s.next_at <= now() ORDER BY s.next_at LIMIT 1 FOR UPDATE OF s SKIP LOCKED`,
    );
    const [due] = rows;
    if (!due) return false;
    const { tenant_id: tenantId, address_id: addressId, address, listed, set_by: requestedBy } = due;
    const earned = await payableBalance(tx, tenantId, 'earnings', 'IO');
    const left = await leftOfLimit(tx, world.terms, tenantId, 'IO');
    const amount = earned < left ? earned : left;
    if (listed && earned >= BigInt(due.threshold) && amount >= world.terms.leastPayout.IO) {
      await insertPayout(tx, {
        ...{ id: newId('payout', world.random), tenantId, source: 'earnings', asset: 'IO', amount, addressId, address },
        ...{ state: 'confirmed', requestedBy, scheduleKey: `${tenantId} ${due.next_at.toISOString()}` },
      });
    }
    await tx.query(
      `UPDATE payout_schedules SET next_at = next_at + step * (floor(extract(epoch FROM now() - next_at)
         / extract(epoch FROM step)) + 1)
       FROM (SELECT CASE every WHEN 'hour' THEN interval '1 hour' ELSE interval '1 day' END AS step
             FROM payout_schedules WHERE tenant_id = $1) s WHERE tenant_id = $1`,
      [tenantId],
    );
    return true;
  });
}
