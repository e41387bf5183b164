/** How often times give a device away: drawn from recordings where there are any, else from data sheets. */
import { type Accelerator, accelerators } from '../../core/matching/index.js';
import {
  type Expectation,
  expectationOf,
  passSecondsOf,
  type Recorded,
  recomputation,
  workOf,
} from '../../core/verification/index.js';
import type { Seeded } from '../../core/verification/testing/seeded.js';

/** What passes of one model vary by, where nothing has been recorded: an assumption, of clocks that heat lowers. */
export const assumedSpread = 0.05;

/** The part of `trials` in which every try fails. `times`: of the passes of one challenge, milliseconds. */
export function caughtByTime(
  { slowestMs, test }: Pick<Expectation, 'slowestMs' | 'test'>,
  times: () => number[],
  trials: number,
): number {
  let caught = 0;
  for (let trial = 0; trial < trials; trial += 1) {
    let passed = false;
    for (let attempt = 0; attempt < test.tries && !passed; attempt += 1) {
      passed = times().filter(ms => ms <= slowestMs).length >= test.needed;
    }
    if (!passed) caught += 1;
  }
  return caught / trials;
}

/** Passes that followed each other in a recording, so that what disturbed one may have disturbed the next. */
export const window = (recordedMs: readonly number[], count: number, random: Seeded): number[] => {
  const from = random.below(recordedMs.length);
  return Array.from({ length: count }, (_, at) => recordedMs[(from + at) % recordedMs.length] as number);
};

/** Around `typicalMs`, times what each pass of the cheat takes longer. */
export const drawn = ({ typicalMs, test }: Expectation, factorOf: (pass: number) => number, random: Seeded): number[] =>
  Array.from(
    { length: test.passes },
    (_, at) => (typicalMs ?? 0) * factorOf(at + 1) * Math.exp(assumedSpread * random.normal()),
  );

export const expectationOfModel = (model: Accelerator): Expectation =>
  expectationOf(
    {
      index: 0,
      uuid: model.slug,
      model: model.aliases[0] ?? model.name,
      vendor: model.vendor,
      memoryBytes: model.memoryBytes ?? 0,
      cpus: 8,
    },
    [],
    [],
  );

export const expectationOfRecorded = (recording: Recorded): Expectation =>
  expectationOf(
    {
      index: null,
      uuid: 'processors',
      model: recording.model,
      vendor: 'cpu',
      memoryBytes: 2 ** 40,
      cpus: recording.cpus,
    },
    [],
    [recording],
  );

export interface Pair {
  claim: string;
  real: string;
  /** How much longer a pass takes. */
  factor: number;
  caught: number;
}

/** Every model that claims to be a bigger one: with less memory, bandwidth and arithmetic, or as much. */
export function lesserModels(trials: number, random: Seeded): Pair[] {
  const known = accelerators.filter(model => workOf(model) !== null);
  return known.flatMap(claim =>
    known
      .filter(real => isLesser(real, claim))
      .map(real => {
        const expectation = expectationOfModel(claim);
        const work = expectation.work;
        const factor = (passSecondsOf(real, work) ?? 0) / (passSecondsOf(claim, work) ?? 1);
        const held = Math.min(1, (real.memoryBytes ?? 0) / (claim.memoryBytes ?? 1));
        const factorOf = (pass: number) => factor * recomputation(held, pass);
        const caught = caughtByTime(expectation, () => drawn(expectation, factorOf, random), trials);
        return { claim: claim.slug, real: real.slug, factor: factorOf(work.passes), caught };
      }),
  );
}

function isLesser(real: Accelerator, claim: Accelerator): boolean {
  const figures = (model: Accelerator) => [model.memoryBytes ?? 0, model.fp16Tflops ?? 0, model.bandwidthGBps ?? 0];
  const [mine, theirs] = [figures(real), figures(claim)];
  return (
    mine.every((figure, at) => figure <= (theirs[at] as number)) &&
    mine.some((figure, at) => figure < (theirs[at] as number))
  );
}

/** Parts of a layer lie elsewhere: what has to come over the link besides, for `devices` that share the work. */
export function spreadFactor(model: Accelerator, devices: number, linkGBps: number): number {
  const { work, typicalMs } = expectationOfModel(model);
  const reads = work.blocks * work.rowLength ** 2 * 2 * work.products;
  const foreign = (reads / devices) * (1 - 1 / devices);
  return 1 / devices + foreign / (linkGBps * 1e9) / ((typicalMs ?? 1) / 1_000);
}
