/** The text of an API key: `ioc_<20 characters of its id>_<43 characters of secret>`. */
import { createHash } from 'node:crypto';
import { type ApiKeyId, newId } from '@iocloud/contracts';

export interface ApiKeySecret {
  id: ApiKeyId;
  secret: string;
}

const pattern = /^ioc_([0-9a-z]{20})_([A-Za-z0-9_-]{43})$/;

export function newApiKeySecret(randomBytes: (n: number) => Buffer): ApiKeySecret {
  return { id: newId('apiKey', randomBytes), secret: randomBytes(32).toString('base64url') };
}

export function formatApiKey({ id, secret }: ApiKeySecret): string {
  return `ioc_${id.slice('ak_'.length)}_${secret}`;
}

/** Null when the text is no key of ours. */
export function parseApiKey(text: string): ApiKeySecret | null {
  const match = pattern.exec(text);
  if (!match?.[1] || !match[2]) return null;
  return { id: `ak_${match[1]}` as ApiKeyId, secret: match[2] };
}

export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
