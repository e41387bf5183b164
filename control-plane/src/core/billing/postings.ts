/** What each thing that can happen to money comes to as entries. Pure; docs/billing.md says the same in words. */
import type { Asset, TenantId } from '@iocloud/contracts';
import type { Charge } from './charge.js';
import { type Account, available, balanced, type Entry, earnings, escrow, moved, ofNetwork } from './entries.js';

export interface HoldTerms {
  reference: string;
  tenantId: TenantId;
  asset: Asset;
}
const escrowOf = ({ tenantId, asset, reference }: HoldTerms) => escrow(tenantId, asset, reference);

export const creditEntries = (tenantId: TenantId, asset: Asset, amount: bigint): Entry[] =>
  moved(ofNetwork('deposits', asset), available(tenantId, asset), amount);

export const holdEntries = (hold: HoldTerms, amount: bigint): Entry[] =>
  moved(available(hold.tenantId, hold.asset), escrowOf(hold), amount);

/** What a hold has left goes back whole. */
export const releaseEntries = (hold: HoldTerms, left: bigint): Entry[] =>
  moved(escrowOf(hold), available(hold.tenantId, hold.asset), left);

/** The supplier gets IO: what the renter paid for it in another asset stays on the exchange account, which gives the IO. */
export function settlementEntries(hold: HoldTerms, supplierId: TenantId, charge: Charge): Entry[] {
  const { asset } = hold;
  const inIo = asset === 'IO';
  return balanced([
    { account: escrowOf(hold), amount: -charge.paid },
    {
      account: ofNetwork('fees', asset),
      amount: charge.paymentFee + charge.renterReservation + charge.supplierReservation,
    },
    { account: ofNetwork('rounding', asset), amount: charge.rounding },
    { account: inIo ? earnings(supplierId) : ofNetwork('exchange', asset), amount: charge.supplierShare },
    ...(inIo
      ? []
      : [
          { account: ofNetwork('exchange', 'IO'), amount: -charge.supplierIo },
          { account: earnings(supplierId), amount: charge.supplierIo },
        ]),
  ]);
}

/**
 * The same the other way round. What would go back into a hold that is closed goes to its renter instead. Empty: nothing
 * is left to take back.
 */
export const reversalEntries = (entries: readonly Entry[], isClosed: (account: Account) => boolean): Entry[] =>
  balanced(
    entries.map(({ account, amount }) => ({
      account: account.tenantId && isClosed(account) ? available(account.tenantId, account.asset) : account,
      amount: -amount,
    })),
  );
