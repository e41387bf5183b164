/** Amounts as people type and read them. No schema library: the command line loads this at every start. */

/** `8GiB`, `8Gi`, `512MB`, or plain bytes; null when it is none of these. In bytes. */
export function parseMemory(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?$/i.exec(text.trim());
  const unit = memoryUnits[(match?.[2] ?? '').toLowerCase()];
  return match?.[1] && unit !== undefined ? Math.round(Number(match[1]) * unit) : null;
}

const memoryUnits: Record<string, number> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** `90s`, `10m`, `1h30m`, or plain seconds; null when it is none of these. In seconds. */
export function parseDuration(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  if (parts.length === 0 || parts.map(part => part[0]).join('') !== text) return null;
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (timeUnits[unit ?? ''] ?? 0), 0);
}

const timeUnits: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `2.5` or `2.50` dollars with at most six decimals; null when it is none. In micro-USD. */
export function parseUsd(text: string): number | null {
  const match = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text);
  return match ? Number(match[1]) * 1_000_000 + Number((match[2] ?? '').padEnd(6, '0')) : null;
}

/** Whole micro-USD as dollars, without needless zeros: `2.50`, `0.000125`. */
export function usdInWords(amount: number): string {
  const decimals = String(amount % 1_000_000).padStart(6, '0');
  return `${Math.floor(amount / 1_000_000)}.${decimals.slice(0, 2)}${decimals.slice(2).replace(/0+$/, '')}`;
}

/** What the ledger counts in, with the decimals of each. */
export const assetDecimals = { IO: 8, USDC: 6, USD: 6, IOSD: 6 } as const;
export type Asset = keyof typeof assetDecimals;
export const assets = Object.keys(assetDecimals) as [Asset, ...Asset[]];
/** Far more than there is of any; a hundred such amounts fit into what the ledger can hold. */
const mostWholeDigits = 9;

/** `12.5`, with at most the asset's decimals; null when it is none of these. In the asset's smallest unit. */
export function parseUnits(text: string, asset: Asset): bigint | null {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  const [, whole = '', fraction = ''] = match ?? [];
  if (!match || whole.length > mostWholeDigits || fraction.length > assetDecimals[asset]) return null;
  return BigInt(whole + fraction.padEnd(assetDecimals[asset], '0'));
}

/** With all of the asset's decimals: `-12.50000000`. */
export function unitsInWords(units: bigint, asset: Asset): string {
  const decimals = assetDecimals[asset];
  const digits = String(units < 0n ? -units : units).padStart(decimals + 1, '0');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
