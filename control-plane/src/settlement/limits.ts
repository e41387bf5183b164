/** How much a tenant may still pay out: in any 24 hours at most so much of each asset. */
import type { TenantId } from '@iocloud/contracts';
import { payoutStates, spendsLimit } from '../core/settlement/index.js';
import type { Transaction } from '../platform/index.js';
import type { SettledAsset, Terms } from './terms.js';

/** Two that ask at a time wait for each other: both would find the same room. */
export async function leftOfLimit(
  tx: Transaction,
  { dailyLimit }: Pick<Terms, 'dailyLimit'>,
  tenantId: TenantId,
  asset: SettledAsset,
): Promise<bigint> {
  await tx.query('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
  const { rows } = await tx.query<{ spent: string }>(
    `SELECT coalesce(sum(amount), 0)::text AS spent FROM payouts
     WHERE tenant_id = $1 AND asset = $2 AND state = ANY ($3) AND requested_at > now() - interval '1 day'`,
    [tenantId, asset, payoutStates.filter(spendsLimit)],
  );
  const left = dailyLimit[asset] - BigInt(rows[0]?.spent ?? 0);
  return left > 0n ? left : 0n;
}
