/** Whose failed logins are too many. Pure but for its clock. */
import { isIPv6 } from 'node:net';

/** More connections than these without a login in that time, and none from there is heard until it is over. */
const most = 30;
const windowMs = 10 * 60_000;
const mostAddresses = 10_000;

export class Failures {
  readonly #by = new Map<string, { count: number; untilMs: number }>();

  /** `nowMs`: a clock that never goes back. */
  constructor(readonly nowMs: () => number) {}

  /** Returns whether this was the one too many. */
  note(address: string): boolean {
    const key = networkOf(address);
    const now = this.nowMs();
    const known = this.#by.get(key);
    const entry = known && known.untilMs > now ? known : { count: 0, untilMs: now + windowMs };
    entry.count += 1;
    // The oldest go first, so that an attacker with many addresses costs no memory.
    this.#by.delete(key);
    this.#by.set(key, entry);
    const [oldest] = this.#by.keys();
    if (this.#by.size > mostAddresses && oldest !== undefined) this.#by.delete(oldest);
    return entry.count === most + 1;
  }

  areTooMany(address: string): boolean {
    const entry = this.#by.get(networkOf(address));
    return entry !== undefined && entry.count > most && entry.untilMs > this.nowMs();
  }
}

/** Of IPv6 the first 64 bits, which one customer has for themselves. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!isIPv6(plain)) return plain;
  const [front = '', back = ''] = plain.split('%')[0]?.split('::') ?? [];
  const head = front.split(':').filter(Boolean);
  const tail = back.split(':').filter(Boolean);
  const zeros = plain.includes('::') ? Array<string>(8 - head.length - tail.length).fill('0') : [];
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
