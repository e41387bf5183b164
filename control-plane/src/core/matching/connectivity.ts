/**
 * The connectivity tier that placement goes by, of what a machine's owner states and what was measured. Pure.
 *
 * A measurement is a few megabytes over the agent's own connection, encrypted by one process on each side: it shows what
 * the way to the control plane carries at least, and of fast, far or busy connections less than they could. So a stated tier
 * is taken back only where the best of `enough` measurements is far below it, and they could have shown better.
 */
import { connectivityTiers, type Measurement, type NodeTerms } from '@iocloud/contracts';

type Tier = (typeof connectivityTiers)[number];

/** What each tier promises in both directions, 10⁶ bits a second. */
export const tierMbps: Record<Tier, number> = { low: 10, medium: 100, high: 1_000, ultra: 10_000 };

/** A connection's own overhead, and what other traffic takes, may hide so much of its rate. */
const grantedFrom = 0.8;
/** What is measured below this part of a tier's promise speaks against it. */
const refutedBelow = 0.5;
/** Any measurement of a machine that is near shows as much, busy processors included: more proves nothing. */
const shownMbps = 100;
/** So many are kept, and asked for before a stated tier is taken back. */
export const enough = 3;
/** From afar a transfer of a few megabytes is over before its rate has grown: so many bits take a round trip, about. */
const shownBitsPerRoundTrip = 3_000_000;

export function connectivityOf(stated: NodeTerms['connectivity'], samples: readonly Measurement[]): Tier {
  const measured = bestOf(samples);
  if (measured === null) return stated ?? 'low';
  const mbps = Math.min(measured.downloadMbps, measured.uploadMbps);
  if (stated === null) return highest(tier => mbps >= grantedFrom * tierMbps[tier]);
  if (samples.length < enough) return stated;
  const provable = Math.min(shownMbps, shownBitsPerRoundTrip / 1_000 / Math.max(measured.roundTripMs, 1));
  const stands = (tier: Tier) => mbps >= Math.min(refutedBelow * tierMbps[tier], provable);
  return stands(stated) ? stated : highest(tier => tierMbps[tier] < tierMbps[stated] && stands(tier));
}

/** The lowest where none will do: below it there is none. */
const highest = (suits: (tier: Tier) => boolean): Tier => [...connectivityTiers].reverse().find(suits) ?? 'low';

/** What the latest measurements say together: each may have been slowed by other traffic, none can have been sped up. */
export function bestOf(samples: readonly Measurement[]): Measurement | null {
  const latest = samples.at(-1);
  if (!latest) return null;
  return {
    roundTripMs: Math.min(...samples.map(sample => sample.roundTripMs)),
    downloadMbps: Math.max(...samples.map(sample => sample.downloadMbps)),
    uploadMbps: Math.max(...samples.map(sample => sample.uploadMbps)),
    at: latest.at,
  };
}
