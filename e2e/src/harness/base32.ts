/** Bytes of a text in base32 (RFC 4648) without padding, as authenticators are given their secrets. */
export function fromBase32(text: string): Buffer {
  const bits = [...text].map(digit => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0'));
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map(part => Number.parseInt(part, 2)));
}
