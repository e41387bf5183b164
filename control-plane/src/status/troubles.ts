/**
 * What is wrong now, whom it hurts and where to go on: the few conditions that need no history. Those with a history are
 * Prometheus' alerts.
 */
import { duration } from './figures.js';
import type { Sample } from './sample.js';

export interface Trouble {
  what: string;
  hurts: string;
  todo: string;
}

type Rule = (sample: Sample) => Trouble | null;

/** A loop that has missed so many of its turns is said to hang. */
const missedTurns = 20;
/** Whatever its pause, a loop gets so long. */
const patienceSeconds = 60;

const above = (value: number | null, limit: number): value is number => value !== null && value > limit;

const rules: readonly Rule[] = [
  sample =>
    sample.max('iocloud_redis_up') === 0
      ? {
          what: 'Redis does not answer',
          hurts: 'everybody a little: work goes on by sweeps, some seconds later than it would',
          todo: 'start it again; nothing is lost with it',
        }
      : null,
  sample => {
    const waiters = sample.max('iocloud_postgres_connection_waiters');
    return above(waiters, 20)
      ? {
          what: `${waiters} calls wait for a connection to PostgreSQL`,
          hurts: 'every caller of the API',
          todo: 'look for statements that hang: SELECT pid, state, query FROM pg_stat_activity',
        }
      : null;
  },
  sample => {
    const oldest = sample.max('iocloud_outbox_oldest_seconds');
    return above(oldest, 60)
      ? {
          what: `wake-ups wait for ${duration(oldest)} to be handed on`,
          hurts: 'jobs and clusters: each step waits for a sweep',
          todo: 'look at Redis and at the log of this process',
        }
      : null;
  },
  sample => loopsThatHang(sample),
  sample => {
    const units = sample.values('iocloud_ledger_imbalance_units').filter(({ value }) => value !== 0);
    return units.length > 0
      ? {
          what: `the ledger does not sum to zero in ${units.map(({ labels }) => labels.asset).join(', ')}`,
          hurts: 'whoever is paid next',
          todo: 'iocloud ledger check',
        }
      : null;
  },
  sample => {
    const found = sample.sum('iocloud_check_differences');
    return above(found, 0)
      ? {
          what: `the checker found ${found} differences`,
          hurts: 'the renters or suppliers that they are of',
          todo: 'iocloud ledger check',
        }
      : null;
  },
  sample => {
    const open = sample.max('iocloud_settlement_open_differences');
    return above(open, 0)
      ? {
          what: 'the chain and the ledger differ; pay-outs are paused',
          hurts: 'suppliers that wait for their pay',
          todo: 'iocloud settlement status',
        }
      : null;
  },
  sample => {
    const late = sample.max('iocloud_metering_lag_seconds');
    return above(late, 900)
      ? {
          what: `the meter is ${duration(late)} late`,
          hurts: 'renters: their usage and their escrow are known late',
          todo: 'look at the log of this process, and at Prometheus if it is metered from one',
        }
      : null;
  },
  sample => {
    const stuck = sample.max('iocloud_clusters_oldest_in_phase_seconds', { phase: 'provisioning' });
    return above(stuck, 600)
      ? {
          what: `a cluster has been provisioning for ${duration(stuck)}`,
          hurts: 'who waits for it',
          todo: 'iocloud cluster list, then iocloud cluster show NAME',
        }
      : null;
  },
];

function loopsThatHang(sample: Sample): Trouble | null {
  const hanging = sample.values('iocloud_loop_last_success_timestamp_seconds').flatMap(({ value, labels }) => {
    const loop = String(labels.loop);
    const pause = sample.max('iocloud_loop_interval_seconds', { loop }) ?? 0;
    const since = sample.atMs / 1_000 - value;
    return since > Math.max(pause * missedTurns, patienceSeconds) ? [`${loop} (${duration(since)} ago)`] : [];
  });
  return hanging.length === 0
    ? null
    : {
        what: `has not come to its end since: ${hanging.join(', ')}`,
        hurts: 'whoever waits for what it does',
        todo: 'look at the log of this process for what it fails at',
      };
}

export const troublesIn = (sample: Sample): Trouble[] => rules.flatMap(rule => rule(sample) ?? []);
