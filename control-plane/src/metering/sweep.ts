/** Has the meter look at what is due: windows that are over, again and again, and leases that end, at once. */
import type { ClusterId } from '@iocloud/contracts';
import { type Logger, Recurring, type TopicHandler } from '../platform/index.js';
import { dueLeases, endedClusters, endedLeases } from './lines.js';
import { type MeterWiring, meter } from './meter.js';

const pauseMs = 1_000;
const atOnce = 500;

export const meteringSweep = (wiring: MeterWiring, log: Logger): Recurring =>
  new Recurring(
    'metering',
    pauseMs,
    async isStopped => {
      const size = wiring.prometheus?.leasesAtOnce ?? atOnce;
      for (let found = size; found === size && !isStopped(); ) {
        const due = await dueLeases(wiring.database, size);
        if (due.length > 0) await meter(wiring, due, { ended: false });
        found = due.length;
      }
    },
    error => log.warn({ err: error }, 'usage could not be metered; again soon'),
  );

/** Topic 'metering', by cluster: leases that were released get their last lines. */
export const meteringTopic = (wiring: MeterWiring): TopicHandler => ({
  handle: async key => {
    const ended = await endedLeases(wiring.database, key as ClusterId);
    for (let from = 0; from < ended.length; from += atOnce) {
      await meter(wiring, ended.slice(from, from + atOnce), { ended: true });
    }
  },
  sweep: () => endedClusters(wiring.database),
});
