/** What a line of usage adds to what its window has come to before: cost, charge and entries. Pure. */
import type { Asset, TenantId } from '@iocloud/contracts';
import { type Charge, chargeOf, type Fees } from './charge.js';
import { type Account, available, balanced, type Entry, earnings, escrow, ofNetwork } from './entries.js';
import type { HoldTerms } from './postings.js';
import type { Ratio } from './ratio.js';

const hourMs = 3_600_000n;

/** Of all that a window was used, rounded down once: pieces never cost more than the whole. Micro-USD. */
export const usageCost = (billableMs: bigint, microUsdPerHour: bigint): bigint =>
  billableMs > 0n ? (billableMs * microUsdPerHour) / hourMs : 0n;

/** By what a window's cost becomes amounts: those of its first charge, for all that come after it. */
export interface UsageTerms {
  asset: Asset;
  usdPerIo: Ratio;
  fees: Fees;
}

/** What the network bore of a window: in the renter's asset of what it was to pay, in IO of what its supplier was to give back. */
export interface Shortfall {
  renter: bigint;
  supplier: bigint;
}
export const noShortfall: Shortfall = { renter: 0n, supplier: 0n };

export interface UsageStep {
  terms: UsageTerms;
  /** Of the window, in micro-USD: charged before, and with this line. */
  before: bigint;
  after: bigint;
  /** Borne of the window before. */
  borne: Shortfall;
}

/** Who pays and who is paid, with what they have at the moment. */
export interface Purses {
  hold: HoldTerms;
  isClosed: boolean;
  supplierId: TenantId;
  /** What an account of a tenant has left. */
  left(account: Account): bigint;
}

/**
 * The difference between what the window comes to now and what it came to before, so that its lines in whatever order end
 * in the same amounts. The renter pays out of its hold, then out of what it has available; what it has not, the network
 * bears. What it gets back goes into the hold, once that is closed to what is available. A supplier gives back what it
 * still has of its earnings; the rest the network bears. What the network bore of a window it gets back first.
 */
export function usageEntries(
  { terms, before, after, borne }: UsageStep,
  purses: Purses,
): { entries: Entry[]; borne: Shortfall } {
  const { asset } = terms;
  const was = chargeOf({ ...terms, costMicroUsd: before });
  const is = chargeOf({ ...terms, costMicroUsd: after });
  const more = (part: keyof Charge) => is[part] - was[part];
  const renter = renterPays(more('paid'), borne.renter, purses);
  const supplier = supplierGets(more('supplierIo'), borne.supplier, purses);
  const inIo = asset === 'IO';
  const fees = more('paymentFee') + more('renterReservation') + more('supplierReservation');
  const entries = balanced([
    ...renter.entries,
    { account: ofNetwork('fees', asset), amount: fees },
    { account: ofNetwork('rounding', asset), amount: more('rounding') },
    ...(inIo
      ? []
      : [
          { account: ofNetwork('exchange', asset), amount: more('supplierShare') },
          { account: ofNetwork('exchange', 'IO'), amount: -more('supplierIo') },
        ]),
    ...supplier.entries,
  ]);
  return { entries, borne: { renter: renter.borne, supplier: supplier.borne } };
}

const least = (a: bigint, b: bigint) => (a < b ? a : b);

/** `borne`: the change of what the network bears. */
interface Part {
  entries: Entry[];
  borne: bigint;
}

function renterPays(amount: bigint, borne: bigint, { hold, isClosed, left }: Purses): Part {
  const { tenantId, asset, reference } = hold;
  const purse = available(tenantId, asset);
  const held = escrow(tenantId, asset, reference);
  const network = ofNetwork('adjustments', asset);
  if (amount <= 0n) {
    const repaid = least(-amount, borne);
    return {
      entries: [
        { account: network, amount: repaid },
        { account: isClosed ? purse : held, amount: -amount - repaid },
      ],
      borne: -repaid,
    };
  }
  const fromHold = isClosed ? 0n : least(amount, left(held));
  const fromPurse = least(amount - fromHold, left(purse));
  const short = amount - fromHold - fromPurse;
  return {
    entries: [
      { account: held, amount: -fromHold },
      { account: purse, amount: -fromPurse },
      { account: network, amount: -short },
    ],
    borne: short,
  };
}

function supplierGets(amount: bigint, borne: bigint, { supplierId, left }: Purses): Part {
  const account = earnings(supplierId);
  const network = ofNetwork('adjustments', 'IO');
  const change = amount >= 0n ? -least(amount, borne) : -amount - least(-amount, left(account));
  return {
    entries: [
      { account, amount: amount + change },
      { account: network, amount: -change },
    ],
    borne: change,
  };
}

/** `20000/0/2500/2500`: as it is kept with each charge. */
export const feesInWords = ({
  paymentPpm,
  paymentInIoPpm,
  reservationRenterPpm,
  reservationSupplierPpm,
}: Fees): string => [paymentPpm, paymentInIoPpm, reservationRenterPpm, reservationSupplierPpm].join('/');

/** Throws RangeError on anything else than what `feesInWords` says. */
export function parseFees(text: string): Fees {
  if (!/^\d+(\/\d+){3}$/.test(text)) throw new RangeError(`"${text}" are no fees`);
  const [paymentPpm = 0n, paymentInIoPpm = 0n, reservationRenterPpm = 0n, reservationSupplierPpm = 0n] = text
    .split('/')
    .map(BigInt);
  return { paymentPpm, paymentInIoPpm, reservationRenterPpm, reservationSupplierPpm };
}
