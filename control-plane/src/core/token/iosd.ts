/** IOSD for burned IO. Pure. */

/** A rate is in 10⁻¹⁸ USD for one IO of 10⁸ units, an IOSD has 10⁶. */
const divisor = 10n ** 18n * 10n ** 8n;
const unitsPerIosd = 10n ** 6n;

/** What burned units of IO come to in the smallest unit of IOSD, rounded down: never more than a dollar's worth for each. */
export const iosdUnits = (ioUnits: bigint, attoUsdPerIo: bigint): bigint =>
  (ioUnits * attoUsdPerIo * unitsPerIosd) / divisor;
