/** `npm run simulate`: runs seeds, prints JSON, and ends with 1 and a trace when an invariant broke. */
import { parseArgs } from 'node:util';
import { simulateDay, worldSize } from './day.js';
import { runSeeds, tellBreach } from './seeds.js';
import { type GroundKind, groundKinds, groundOf, simulate } from './simulate.js';

const help = `Simulates fleets in virtual time and checks the scheduler's invariants at every step.

  npm run simulate -- [options]

  --seed N          one seed; prints its figures               (1)
  --seeds A..B      all seeds from A to B; prints their sums
  --workers N       of --seeds, threads that share the range   (1)
  --progress FILE   of --seeds, keeps there what is done, and goes on from it when started again
  --hours H         virtual hours in which work arrives        (2 when only --gpus is given)
  --gpus G          about so many accelerators                 (24 when only --hours is given)
  --ground KIND     pools: a few kinds of alike machines; fleet: unlike machines and requirements   (odd seeds pools, even seeds fleet)
  --day            a day of 125,000 machines with about 1,000,000 accelerators (--gpus and --hours make it smaller)
  --minutes M      of --day, stops after so long by the clock; the figures are of the hours until there
  --help

A seed is one world from its first job to its last, in virtual time. Without --hours and --gpus each seed draws its own (swarm
testing): 4 to 24 accelerators, 20 minutes to 2 hours of arrivals, 5 to 60 jobs (mostly about 12), small ones far more often; a
good part of what work asks for and of what fails is left out, the rest far more frequent than in real fleets. With --hours or
--gpus there is something of everything. Half of the seeds build their queue anew for each decision, as the product does.

Figures go to stdout as JSON, progress to stderr. A broken invariant prints its seed and the last events, and exits with 1.
The same options always give the same run.
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

function groundNamed(name: string | undefined): GroundKind | null {
  const kind = groundKinds.find(each => each === name) ?? null;
  if (name !== undefined && kind === null) throw new RangeError(`--ground is ${groundKinds.join(' or ')}, not ${name}`);
  return kind;
}

function day(seed: number, size: typeof worldSize, maxWallSeconds: number): number {
  const { breach, ...figures } = simulateDay(seed, size, line => process.stderr.write(`${line}\n`), maxWallSeconds);
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  if (breach) tellBreach(seed, { hours: size.hours, gpus: 8 * size.nodes }, 'fleet', breach);
  return breach ? 1 : 0;
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { seed: text, seeds: text, workers: text, progress: text, ground: text };
  const sizes = { hours: text, gpus: text, minutes: text };
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({ options: { ...options, ...sizes, day: flag, help: flag } });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const [first, to] = rangeOf(values);
  if (values.day) {
    const gpus = positive('gpus', values.gpus, 8 * worldSize.nodes);
    const hours = positive('hours', values.hours, worldSize.hours);
    const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : positive('minutes', values.minutes, 1);
    return day(first, { ...worldSize, hours, nodes: Math.max(1, Math.round(gpus / 8)) }, 60 * minutes);
  }
  const size =
    values.hours === undefined && values.gpus === undefined
      ? null
      : { hours: positive('hours', values.hours, 2), gpus: positive('gpus', values.gpus, 24) };
  const ground = groundNamed(values.ground);
  if (values.seeds !== undefined) {
    const threads = Math.round(positive('workers', values.workers, 1));
    return await runSeeds({ from: first, to, size, ground }, { threads, file: values.progress ?? null });
  }
  const kind = ground ?? groundOf(first);
  const startedMs = performance.now();
  const { breach, ...figures } = simulate(first, size, { ground: kind });
  if (breach) {
    tellBreach(first, size, kind, breach);
    return 1;
  }
  const wallSeconds = (performance.now() - startedMs) / 1000;
  process.stdout.write(`${JSON.stringify({ ...figures, wallSeconds })}\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof Error ? `${error.message}${error.cause instanceof Error ? `\n${error.cause.stack}` : ''}` : error}\n`,
  );
  process.exitCode = error instanceof RangeError || error instanceof TypeError ? 2 : 1;
}
