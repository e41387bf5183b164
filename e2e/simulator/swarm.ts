/**
 * Swarm testing: each seed draws a world of its own, small ones more often, with some features and some kinds of faults left
 * out and the others far more frequent than in any real fleet. What all seeds have a little of, none tests well.
 */
import { defaultQueueTerms, type QueueTerms, type Sighting } from '@iocloud/control-plane/core/queueing';
import { Random } from './random.js';
import { type FaultRates, hourMs, type Mix, minuteMs, type Size } from './scenario.js';

export interface Swarm {
  size: Size;
  mix: Mix;
  queue: QueueTerms;
}

const doubts: readonly (readonly Sighting[])[] = [
  ['timedOut'],
  ['unreachable'],
  ['refused', 'timedOut'],
  // A head that restarts: it has not read its jobs back, and then it has.
  ['unknownJob', 'unknownJob', 'ok'],
];

/** Accelerators that one job asks for on average, about. */
const meanGpus = 2;

export function swarmOf(seed: number): Swarm {
  const random = new Random(seed + 15_485_863);
  const size = {
    gpus: random.pick([4, 4, 4, 6, 8, 8, 12, 16, 24]),
    hours: random.pick([20, 20, 20, 30, 30, 45, 60, 120]) / 60,
  };
  const load = random.pick([0.7, 1.2, 2, 3]);
  const jobs = Math.min(60, 5 + random.exponential(8));
  /** Nothing of it in two of five worlds. */
  const at = (...amounts: number[]) => (random.chance(0.4) ? 0 : random.pick(amounts));
  const quotas = random.pick(['none', 'some', 'tight', 'tight'] as const);
  const isTight = quotas === 'tight';
  const mix: Mix = {
    load: [load, load],
    meanWorkMs: (size.hours * hourMs * size.gpus * load) / (jobs * meanGpus),
    devices: random.pick([[1, 2, 4], [4], [2, 4, 8], [8]]),
    kinds: random.integer(1, 4),
    largestGang: 1,
    tenants: random.pick([1, 2, 3, 5]) + (isTight ? 1 : 0),
    limited: quotas === 'none' ? 0 : isTight ? 1 : 0.5,
    lending: isTight ? 1 : 0.8,
    cohorts: random.pick([1, 1, 2]),
    leastQuota: isTight ? 1 : 4,
    quota: isTight
      ? random.pick([
          [0.2, 0.7],
          [0.4, 1],
        ])
      : [0.5, 1.5],
    bursts: isTight ? random.pick([0.5, 0.9]) : at(0.5),
    preemptible: isTight ? random.pick([0.7, 0.95]) : at(0.5, 0.9),
    urgent: at(0.1, 0.3),
    gangs: at(0.1, 0.4),
    plain: random.pick([0.5, 0.8, 1]),
    cheap: at(0.1, 0.4),
    budgeted: at(0.2, 0.6),
    unknownDuration: at(0.2, 0.7),
    failing: at(0.05, 0.2),
    longestSlackHours: 3,
    checkpointMinutes: [1, 5, 15],
    faults: faultsAt(size.hours, {
      machine: at(0.5, 1, 3),
      partition: at(0.5, 1, 3),
      drain: at(0.5, 1, 3),
      head: at(1, 3),
      controlPlane: at(0.5, 1, 2),
      probes: at(1, 3),
      price: at(1, 4),
    }),
    outageMs: {
      machine: random.pick([2, 10, 30]) * minuteMs,
      partition: random.pick([0.5, 2, 5]) * minuteMs,
      drain: random.pick([2, 10, 30]) * minuteMs,
    },
    doubts: random.pick(doubts),
  };
  const queue = {
    ...defaultQueueTerms,
    preempting: random.pick([['urgent'], ['urgent'], ['urgent', 'high']] as const),
    graceMs: random.pick([5_000, 30_000, 120_000]),
    maxReservations: random.pick([1, 2, 4, 4]),
    loanPatienceMs: random.pick([5, 20, 60]) * minuteMs,
    priceLookMs: 900_000,
  };
  return { size, mix, queue };
}

/** From how many of each there are over all machines, on average. */
function faultsAt(
  hours: number,
  often: Record<'machine' | 'partition' | 'drain' | 'head' | 'controlPlane' | 'probes' | 'price', number>,
): Mix['faults'] {
  return (machines): FaultRates => ({
    machineHours: (hours * machines) / often.machine,
    partitionHours: (hours * machines) / often.partition,
    drainHours: (hours * machines) / often.drain,
    headHours: (hours * machines) / often.head,
    controlPlaneHours: hours / often.controlPlane,
    probesHours: hours / often.probes,
    priceHours: hours / often.price,
  });
}
