/** Kubernetes quantities (`500m`, `4Gi`, `1e3`) as integers: milli-units, so that no amount meets a float. */

const scales: Record<string, [multiply: bigint, divide: bigint]> = {
  n: [1n, 1_000_000n],
  u: [1n, 1_000n],
  m: [1n, 1n],
  '': [1_000n, 1n],
  k: [10n ** 6n, 1n],
  M: [10n ** 9n, 1n],
  G: [10n ** 12n, 1n],
  T: [10n ** 15n, 1n],
  P: [10n ** 18n, 1n],
  E: [10n ** 21n, 1n],
  Ki: [1_000n * 2n ** 10n, 1n],
  Mi: [1_000n * 2n ** 20n, 1n],
  Gi: [1_000n * 2n ** 30n, 1n],
  Ti: [1_000n * 2n ** 40n, 1n],
  Pi: [1_000n * 2n ** 50n, 1n],
  Ei: [1_000n * 2n ** 60n, 1n],
};

const pattern = /^\+?(\d*)(?:\.(\d*))?(?:[eE](\+?\d{1,2}|-\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)$/;

/** Milli-units, rounded up as Kubernetes does; `undefined` for what is no quantity, or a negative one. */
export function parseQuantity(text: string | number): bigint | undefined {
  const match = pattern.exec(String(text).trim());
  if (!match) return undefined;
  const [, whole = '', fraction = '', exponent, suffix = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  let [multiply, divide] = scales[suffix] ?? [1_000n, 1n];
  const power = Number(exponent ?? 0);
  if (power > 0) multiply *= 10n ** BigInt(power);
  else divide *= 10n ** BigInt(-power);
  divide *= 10n ** BigInt(fraction.length);
  const numerator = BigInt(whole + fraction) * multiply;
  return (numerator + divide - 1n) / divide;
}

/** Whole units, rounded up: Ray counts CPUs and GPUs so. */
export const wholeUnits = (milli: bigint) => (milli + 999n) / 1_000n;

const binary: [suffix: string, milli: bigint][] = ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki'].map(suffix => [
  suffix,
  scales[suffix]?.[0] ?? 1n,
]);

export function formatCount(milli: bigint): string {
  return milli % 1_000n === 0n ? String(milli / 1_000n) : `${milli}m`;
}

export function formatMemory(milli: bigint): string {
  if (milli === 0n) return '0';
  const unit = binary.find(([, size]) => milli % size === 0n);
  return unit ? `${milli / unit[1]}${unit[0]}` : formatCount(milli);
}
