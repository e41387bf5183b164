/** Takes secrets out of text that leaves the system: known ones by their value, others by their form. Pure. */

export const redacted = '[redacted]';

const forms: readonly (readonly [RegExp, string])[] = [
  // Keys and tokens of ours: a prefix, and what nobody else may know.
  [/\bioc_[A-Za-z0-9]{8,}_[A-Za-z0-9_-]{16,}/g, redacted],
  [/\bwhsec_[A-Za-z0-9+/=_-]{8,}/g, redacted],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${redacted}`],
  // Passwords and whole logins in addresses.
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*@/gi, `$1${redacted}@`],
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g, redacted],
  // JSON and kubeconfigs: a name that says what it is, and its value.
  [
    /(["']?(?:[\w.-]{0,40}(?:password|passwd|passphrase|secret|token|authorization|api[-_]?key|private[-_]?key|seal[-_]?key|client-key-data|cookie|keypair|mnemonic))["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]"']+)/gi,
    `$1"${redacted}"`,
  ],
  // A Solana keypair as its tools write it: 64 bytes as numbers.
  [/\[\s*(?:\d{1,3}\s*,\s*){63}\d{1,3}\s*\]/g, redacted],
  // 64 bytes in base58, the other form of one; signatures look the same and are no loss.
  [/\b[1-9A-HJ-NP-Za-km-z]{86,90}\b/g, redacted],
];

/** Values shorter than that are no secrets, and would tear words apart. */
const shortestSecret = 8;

export function scrub(text: string, secrets: readonly string[] = []): string {
  const known = secrets.filter(secret => secret.length >= shortestSecret).sort((a, b) => b.length - a.length);
  let clean = text;
  for (const secret of known) {
    // As it stands, as an address and as JSON have it.
    for (const form of new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])) {
      clean = clean.replaceAll(form, redacted);
    }
  }
  for (const [form, by] of forms) clean = clean.replace(form, by);
  return clean;
}
