/** Secrets at rest (AES-256-GCM) and short-lived signed tokens (HMAC-SHA-256). */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const nonceBytes = 12;
const tagBytes = 16;

export class Seal {
  /** `key`: 32 bytes. */
  constructor(readonly key: Uint8Array) {
    if (key.length !== 32) throw new RangeError(`the seal key must have 32 bytes, not ${key.length}`);
  }

  /** `context` binds the sealed text to its row: it opens under no other. */
  seal(plain: string, context: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
  }

  /** Throws when the text was altered or sealed for another context. */
  open(sealed: Buffer, context: string): string {
    const decipher = createDecipheriv('aes-256-gcm', this.key, sealed.subarray(0, nonceBytes)).setAAD(
      Buffer.from(context),
    );
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString('utf8');
  }
}

/** Signs small JSON values with an expiry; `purpose` keeps a link's token from passing as a session's. */
export class Signer {
  constructor(
    readonly secret: string | Uint8Array,
    readonly now: () => number = Date.now,
  ) {}

  sign(purpose: string, value: Record<string, unknown>, lifetimeMs: number): string {
    const body = Buffer.from(JSON.stringify({ ...value, exp: this.now() + lifetimeMs })).toString('base64url');
    return `${body}.${this.#mac(purpose, body)}`;
  }

  /** The value, or null when it is forged, expired, or of another purpose. */
  verify(purpose: string, token: string): Record<string, unknown> | null {
    const [body, mac, ...rest] = token.split('.');
    if (!body || !mac || rest.length > 0) return null;
    // Compared as text: two texts can stand for the same bytes, as the last character of 43 has two bits to spare.
    const expected = Buffer.from(this.#mac(purpose, body));
    const given = Buffer.from(mac);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
    const value = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as Record<string, unknown>;
    return typeof value.exp === 'number' && value.exp > this.now() ? value : null;
  }

  #mac(purpose: string, body: string): string {
    return createHmac('sha256', this.secret).update(`${purpose}\n${body}`).digest('base64url');
  }
}
