/**
 * USD per IO from several sources: exact, a median that a minority of liars cannot move past the others, or a refusal.
 * Rates are whole numbers of 10⁻¹⁸ USD; sources state at most 17 decimals, so that the mean of two is exact too.
 */
import { million } from './ratio.js';

const attoPerUsd = 10n ** 18n;
const attoPerMicroUsd = 10n ** 12n;
/** IO has 8 decimals. */
const unitsPerIo = 10n ** 8n;

/** A positive decimal with at most 17 decimals below 10⁹, also as `1.5e-7`; null when it is none. */
export function parseRate(text: string): bigint | null {
  const rate = readRate(text);
  return rate !== null && rate % 10n === 0n ? rate : null;
}

/** What `rateInWords` has said, a mean of two with 18 decimals too. */
export function readRate(text: string): bigint | null {
  const match = /^(\d{1,9})(?:\.(\d{1,40}))?(?:e([+-]?\d{1,2}))?$/i.exec(text);
  if (!match) return null;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  const shift = 18 - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction);
  const power = 10n ** BigInt(Math.abs(shift));
  if (shift < 0 && digits % power !== 0n) return null;
  const rate = shift < 0 ? digits / power : digits * power;
  return rate > 0n && rate < 10n ** 27n ? rate : null;
}

/** As a decimal, without needless zeros. */
export function rateInWords(rate: bigint): string {
  const decimals = String(rate % attoPerUsd)
    .padStart(18, '0')
    .replace(/0+$/, '');
  return `${rate / attoPerUsd}${decimals === '' ? '' : `.${decimals}`}`;
}

export interface Reading {
  source: string;
  rate: bigint;
  atMs: number;
}

export interface Guards {
  /** So many sources have to agree, and more than half of those that are fresh. */
  minSources: number;
  maxAgeMs: number;
  /** From the median, in millionths of it. */
  maxDeviationPpm: number;
}

export type Verdict = 'agrees' | 'stale' | 'deviates';
export interface Agreement {
  /** Null: refused. */
  rate: bigint | null;
  /** The oldest of those that agree; null: none does. */
  atMs: number | null;
  refusal: string | null;
  verdicts: ReadonlyMap<string, Verdict>;
}

export function agreement(readings: readonly Reading[], nowMs: number, guards: Guards): Agreement {
  // One from the future is as wrong as one from long ago.
  const isFresh = ({ atMs }: Reading) => Math.abs(nowMs - atMs) <= guards.maxAgeMs;
  const fresh = readings.filter(isFresh);
  const middle = median(fresh.map(({ rate }) => rate));
  const agrees = (reading: Reading) => middle !== null && isFresh(reading) && isNear(reading.rate, middle, guards);
  const agreeing = fresh.filter(agrees);
  const verdicts = new Map(
    readings.map(reading => {
      const verdict = !isFresh(reading) ? 'stale' : agrees(reading) ? 'agrees' : 'deviates';
      return [reading.source, verdict] as const;
    }),
  );
  const isEnough = agreeing.length >= guards.minSources && 2 * agreeing.length > fresh.length;
  return {
    rate: isEnough ? middle : null,
    atMs: agreeing.length === 0 ? null : Math.min(...agreeing.map(({ atMs }) => atMs)),
    refusal: isEnough
      ? null
      : `${agreeing.length} of ${fresh.length} fresh sources agree; ${guards.minSources} are needed, and more than half`,
    verdicts,
  };
}

function isNear(rate: bigint, middle: bigint, { maxDeviationPpm }: Guards): boolean {
  const distance = rate > middle ? rate - middle : middle - rate;
  return distance * million <= middle * BigInt(maxDeviationPpm);
}

/** Of an even count the mean of the two in the middle: exact, as sources' rates are multiples of ten. */
function median(rates: readonly bigint[]): bigint | null {
  const sorted = [...rates].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const half = sorted.length >> 1;
  const [lower, upper] = sorted.length % 2 === 0 ? [sorted[half - 1], sorted[half]] : [sorted[half], sorted[half]];
  return lower === undefined || upper === undefined ? null : (lower + upper) / 2n;
}

/** What an amount comes to in the smallest unit of IO, rounded up: paid so, it is never short. */
export function ioUnitsOf(microUsd: number, rate: bigint): bigint {
  const numerator = BigInt(microUsd) * attoPerMicroUsd * unitsPerIo;
  return (numerator + rate - 1n) / rate;
}
