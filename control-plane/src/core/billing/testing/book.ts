/** A ledger in memory with the rules of the database: for properties of what is posted, not of how. */
import { type Account, type Entry, nameOf } from '../index.js';

export class Book {
  readonly #balances = new Map<string, { account: Account; balance: bigint }>();
  readonly #posted = new Set<string>();

  /** False: it was posted before, or an account of a tenant would fall below zero; then nothing happens. */
  post(key: string, entries: readonly Entry[]): boolean {
    if (this.#posted.has(key)) return false;
    const next = entries.map(({ account, amount }) => ({ account, balance: this.balance(account) + amount }));
    if (next.some(({ account, balance }) => account.tenantId !== null && balance < 0n)) return false;
    for (const each of next) this.#balances.set(nameOf(each.account), each);
    this.#posted.add(key);
    return true;
  }

  balance(account: Account): bigint {
    return this.#balances.get(nameOf(account))?.balance ?? 0n;
  }

  /** By name, without those at zero. */
  all(): Record<string, bigint> {
    const held = [...this.#balances].filter(([, { balance }]) => balance !== 0n).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(held.map(([name, { balance }]) => [name, balance]));
  }

  sums(): bigint[] {
    const sums = new Map<string, bigint>();
    for (const { account, balance } of this.#balances.values()) {
      sums.set(account.asset, (sums.get(account.asset) ?? 0n) + balance);
    }
    return [...sums.values()];
  }
}
