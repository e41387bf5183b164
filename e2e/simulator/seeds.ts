/** Very many seeds one after the other: sums, progress, and where to go on. */

import type { Size } from './scenario.js';
import type { GroundKind } from './simulate.js';
import { groundOf, simulate } from './simulate.js';

const summed = [
  'admissions',
  'preemptions',
  'reclaims',
  'migrations',
  'faults',
  'badProbes',
  'fencedWordsDropped',
] as const;
const tellEveryMs = 5_000;

/** Prints sums as JSON. 1 when a seed broke an invariant. */
export function runSeeds(from: number, to: number, size: Size, ground: GroundKind | null): number {
  const sums: Record<string, number> = { seeds: 0, onFleet: 0, jobs: 0, refused: 0, checks: 0 };
  for (const name of summed) sums[name] = 0;
  const startedMs = performance.now();
  const result = (last: number) => {
    const wallSeconds = (performance.now() - startedMs) / 1000;
    const { user } = process.cpuUsage();
    const seeds = sums.seeds ?? 0;
    return {
      from,
      to,
      lastSeedDone: last,
      size,
      ...sums,
      wallSeconds,
      cpuSeconds: user / 1e6,
      seedsPerSecond: seeds / wallSeconds,
    };
  };
  const add = (name: string, amount: number) => {
    sums[name] = (sums[name] ?? 0) + amount;
  };
  let toldMs = startedMs;
  for (let seed = from; seed <= to; seed += 1) {
    const kind = ground ?? groundOf(seed);
    const { summary, checks, breach } = simulate(seed, size, { ground: kind });
    if (breach) {
      tellBreach(seed, size, kind, breach);
      process.stdout.write(`${JSON.stringify(result(seed - 1))}\n`);
      return 1;
    }
    add('seeds', 1);
    add('onFleet', kind === 'fleet' ? 1 : 0);
    add('jobs', summary.jobs.submitted);
    add('refused', summary.jobs.refused);
    add('checks', checks);
    for (const name of summed) add(name, summary[name]);
    if (performance.now() - toldMs > tellEveryMs) {
      toldMs = performance.now();
      process.stderr.write(`${JSON.stringify(result(seed))}\n`);
    }
  }
  process.stdout.write(`${JSON.stringify(result(from + (sums.seeds ?? 0) - 1))}\n`);
  return 0;
}

export function tellBreach(
  seed: number,
  size: Size,
  ground: GroundKind,
  { invariant, details, trace }: { invariant: string; details: string; trace: string[] },
): void {
  process.stdout.write(`${JSON.stringify({ seed, size, ground, broken: invariant, details, trace }, null, 2)}\n`);
  process.stderr.write(
    `seed ${seed} broke '${invariant}'; again: npm run simulate -- --seed ${seed} --ground ${ground} --hours ${size.hours} --gpus ${size.gpus}\n`,
  );
}
