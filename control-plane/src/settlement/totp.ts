/** One-time codes of an authenticator: TOTP, RFC 6238, with what all authenticators take: SHA-1, six digits, 30 seconds. */
import { createHmac, timingSafeEqual } from 'node:crypto';

const stepMs = 30_000;
/** A clock may be half a minute off. */
const window = [0, -1, 1];

export const stepAt = (nowMs: number): number => Math.floor(nowMs / stepMs);

/** RFC 4226, 5.3. */
export function codeOf(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(offset) & 0x7fff_ffff) % 1_000_000).padStart(6, '0');
}

/** The step that it is the code of, later than `after`; null: of none near now. */
export function stepOfCode(secret: Uint8Array, code: string, nowMs: number, after: number): number | null {
  const near = window.map(distance => stepAt(nowMs) + distance).filter(step => step > after);
  const given = Buffer.from(code.padEnd(6).slice(0, 6));
  return near.find(step => timingSafeEqual(Buffer.from(codeOf(secret, step)), given)) ?? null;
}

const base32Digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648, without padding. */
export function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, byte => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map(part => base32Digits[Number.parseInt(part.padEnd(5, '0'), 2)]).join('');
}

export const authenticatorUri = (secret: Uint8Array, account: string): string =>
  `otpauth://totp/iocloud:${encodeURIComponent(account)}?secret=${base32(secret)}&issuer=iocloud`;
