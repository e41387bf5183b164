/** A thread that runs portions of a range, one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Breach } from './checks.js';
import type { Plan, Portion } from './range.js';
import { simulate } from './simulate.js';
import { addRun, noSums, type Sums } from './sums.js';

export type Told = Pick<Breach, 'invariant' | 'details' | 'trace'>;

export interface PortionResult {
  portion: Portion;
  sums: Sums;
  breach: (Told & { seed: number }) | null;
}

function runPortion({ size, ground }: Plan, portion: Portion): PortionResult {
  const sums = noSums();
  for (let seed = portion.from; seed <= portion.to; seed += 1) {
    const run = simulate(seed, size, ground === null ? {} : { ground });
    if (run.breach) {
      const { invariant, details, trace } = run.breach;
      return { portion, sums, breach: { seed, invariant, details, trace } };
    }
    addRun(sums, run);
  }
  return { portion, sums, breach: null };
}

parentPort?.on('message', (portion: Portion) => parentPort?.postMessage(runPortion(workerData as Plan, portion)));
