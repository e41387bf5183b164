/** `npm run simulate`: runs seeds, prints JSON, and ends with 1 and a trace when an invariant broke. */
import { parseArgs } from 'node:util';
import { simulate } from './simulate.js';

const help = `Simulates fleets in virtual time and checks the scheduler's invariants at every step.

  npm run simulate -- [options]

  --seed N          one seed; prints its figures               (1)
  --seeds A..B      all seeds from A to B; prints their sums
  --hours H         virtual hours in which work arrives        (2 for --seeds, else 24)
  --gpus G          about so many accelerators                 (24 for --seeds, else 1000)
  --help

Figures go to stdout as JSON, progress to stderr. A broken invariant prints its seed and the last events, and exits with 1.
The same seed, hours and gpus always give the same run.
`;

function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new RangeError(`--${name} must be a number above 0, not ${text}`);
  return value;
}

function rangeOf({ seed, seeds }: { seed?: string | undefined; seeds?: string | undefined }): [number, number] {
  const match = /^(\d+)\.\.(\d+)$/.exec(seeds ?? `${seed ?? '1'}..${seed ?? '1'}`);
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || to < from) throw new RangeError(`--seeds is A..B with A not above B, not ${seeds ?? seed}`);
  return [from, to];
}

function main(): number {
  const options = {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    hours: { type: 'string' },
    gpus: { type: 'string' },
  } as const;
  const { values } = parseArgs({ options: { ...options, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const [from, to] = rangeOf(values);
  const many = values.seeds !== undefined;
  const size = {
    hours: positive('hours', values.hours, many ? 2 : 24),
    gpus: positive('gpus', values.gpus, many ? 24 : 1_000),
  };
  const startedMs = performance.now();
  const sums = {
    seeds: 0,
    jobs: 0,
    admissions: 0,
    preemptions: 0,
    reclaims: 0,
    migrations: 0,
    faults: 0,
    badProbes: 0,
    fencedWordsDropped: 0,
    checks: 0,
  };
  let toldMs = startedMs;
  for (let seed = from; seed <= to; seed += 1) {
    const { summary, checks, breach } = simulate(seed, size);
    if (breach) {
      process.stdout.write(
        `${JSON.stringify({ seed, size, broken: breach.invariant, details: breach.details, trace: breach.trace }, null, 2)}\n`,
      );
      process.stderr.write(
        `seed ${seed} broke '${breach.invariant}'; again: npm run simulate -- --seed ${seed} --hours ${size.hours} --gpus ${size.gpus}\n`,
      );
      return 1;
    }
    if (!many)
      process.stdout.write(
        `${JSON.stringify({ ...summary, checks, wallSeconds: (performance.now() - startedMs) / 1000 })}\n`,
      );
    sums.seeds += 1;
    sums.jobs += summary.jobs.submitted;
    sums.checks += checks;
    for (const name of [
      'admissions',
      'preemptions',
      'reclaims',
      'migrations',
      'faults',
      'badProbes',
      'fencedWordsDropped',
    ] as const)
      sums[name] += summary[name];
    if (performance.now() - toldMs > 5_000) {
      toldMs = performance.now();
      process.stderr.write(
        `seed ${seed} of ${from}..${to}, ${Math.round(sums.seeds / ((toldMs - startedMs) / 1000))} a second\n`,
      );
    }
  }
  const wallSeconds = (performance.now() - startedMs) / 1000;
  if (many)
    process.stdout.write(
      `${JSON.stringify({ from, to, size, ...sums, wallSeconds, seedsPerSecond: sums.seeds / wallSeconds })}\n`,
    );
  return 0;
}

try {
  process.exitCode = main();
} catch (error) {
  process.stderr.write(
    `${error instanceof Error ? `${error.message}${error.cause instanceof Error ? `\n${error.cause.stack}` : ''}` : error}\n`,
  );
  process.exitCode = error instanceof RangeError || error instanceof TypeError ? 2 : 1;
}
