/** Secrets and signatures as Standard Webhooks has them: https://github.com/standard-webhooks/standard-webhooks, spec 1.0. */
import { createHmac } from 'node:crypto';

const prefix = 'whsec_';
const secretBytes = 32;

export const newSecret = (random: (n: number) => Uint8Array): string =>
  `${prefix}${Buffer.from(random(secretBytes)).toString('base64')}`;

/** One signature for each secret, with a space between. `timestamp`: seconds since 1970. */
export function signatures(secrets: readonly string[], id: string, timestamp: number, body: string): string {
  return secrets
    .map(secret => {
      const key = Buffer.from(secret.slice(prefix.length), 'base64');
      return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
    })
    .join(' ');
}
