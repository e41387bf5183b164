/** When in its hour a supplier's devices are challenged: at a time that only who knows the secret can tell. Pure. */
import type { Hash } from './work.js';

export const hourMs = 3_600_000;
/** The last minutes of an hour are for a second try. */
const windowMs = 50 * 60_000;

export const hourOf = (atMs: number): number => Math.floor(atMs / hourMs) * hourMs;

/**
 * The same for all devices of a supplier: a device that answers for two has to answer for both at once. `keyed`: a MAC under
 * the control plane's secret (HMAC-SHA-256).
 */
export function momentOf(keyed: Hash, hourStartMs: number, supplier: string): number {
  const digest = keyed(new TextEncoder().encode(`challenge ${new Date(hourStartMs).toISOString()} ${supplier}`));
  const part = new DataView(digest.buffer, digest.byteOffset).getUint32(0) / 2 ** 32;
  return hourStartMs + Math.floor(part * windowMs);
}
