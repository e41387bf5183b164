/** What a transaction costs on the chain, and what may be paid for it. In lamports, prices in millionths of one per unit. */

export interface FeeTerms {
  mostPriorityLamports: bigint;
  lamportsPerDay: bigint;
  /** Below it the alarm is raised. */
  lowLamports: bigint;
}

const lamportsPerSignature = 5_000n;
/** Of each part, measured on the real programs and rounded up generously: what is not used costs priority all the same. */
const units = { base: 20_000n, transfer: 45_000n };

export const computeUnits = (transfers: number): bigint => units.base + units.transfer * BigInt(transfers);

/** Three quarters of recent ones paid less; never more than the budget of a transaction. */
export function priorityPrice(recent: readonly bigint[], computeUnits: bigint, mostLamports: bigint): bigint {
  const sorted = [...recent].sort((a, b) => (a < b ? -1 : Number(a > b)));
  const usual = sorted[Math.floor((sorted.length * 3) / 4)] ?? 0n;
  const most = (mostLamports * 1_000_000n) / computeUnits;
  return usual < most ? usual : most;
}

export interface Cost {
  signatures: number;
  computeUnits: bigint;
  price: bigint;
  /** Token accounts that it may make, and what one costs. */
  newAccounts: number;
  rentLamports: bigint;
}

export const mostLamports = ({ signatures, computeUnits, price, newAccounts, rentLamports }: Cost): bigint =>
  lamportsPerSignature * BigInt(signatures) +
  (computeUnits * price + 999_999n) / 1_000_000n +
  rentLamports * BigInt(newAccounts);
