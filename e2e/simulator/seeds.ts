/** Very many seeds on several threads: sums, progress that can be gone on from, and an end at the first breach. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Plan, type Progress, Range } from './range.js';
import type { PortionResult, Told } from './range-worker.js';
import type { Size } from './scenario.js';
import { type GroundKind, groundOf } from './simulate.js';

const tellEveryMs = 5_000;
/** Most of what a step makes is garbage at once: with more room for it, less is copied. */
const youngGenerationMiB = 48;

interface How {
  threads: number;
  /** Where progress is kept. Null: nowhere. */
  file: string | null;
}

/** Prints sums as JSON. 1 when a seed broke an invariant. */
export async function runSeeds(plan: Plan, { threads, file }: How): Promise<number> {
  const range = new Range(plan, file === null ? null : kept(file));
  const startedMs = performance.now();
  const progress = () => {
    const { user, system } = process.cpuUsage();
    return range.progress((performance.now() - startedMs) / 1_000, (user + system) / 1e6);
  };
  const keep = () => {
    if (file === null) return;
    writeFileSync(`${file}.new`, JSON.stringify(progress()));
    renameSync(`${file}.new`, file);
  };
  const told = setInterval(() => {
    const { nextSeed, to, wallSeconds, cpuSeconds, totals } = progress();
    const rate = ((totals.seeds ?? 0) / cpuSeconds).toFixed(0);
    process.stderr.write(`all below ${nextSeed} of ${to} after ${wallSeconds.toFixed(0)} s, ${rate} a second of CPU\n`);
    keep();
  }, tellEveryMs);
  const workers = Array.from({ length: threads }, () => startWorker(plan));
  try {
    const breach = await firstBreach(range, workers);
    keep();
    if (breach) tellBreach(breach.seed, plan.size, plan.ground ?? groundOf(breach.seed), breach);
    process.stdout.write(`${JSON.stringify(figures(progress()))}\n`);
    return breach ? 1 : 0;
  } finally {
    clearInterval(told);
    await Promise.all(workers.map(worker => worker.terminate()));
  }
}

const startWorker = (plan: Plan) =>
  new Worker(new URL('./range-worker.js', import.meta.url), {
    workerData: plan,
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMiB },
  });

/** Null: all seeds have been run, and none had any. */
function firstBreach(range: Range, workers: Worker[]): Promise<PortionResult['breach']> {
  return new Promise((resolve, reject) => {
    for (const worker of workers) {
      const goOn = () => {
        const portion = range.next();
        if (portion) worker.postMessage(portion);
        else if (range.isDone) resolve(null);
      };
      worker.on('error', reject);
      worker.on('message', ({ portion, sums, breach }: PortionResult) => {
        if (breach) {
          resolve(breach);
          return;
        }
        range.done(portion, sums);
        goOn();
      });
      goOn();
    }
  });
}

function figures(progress: Progress) {
  const { totals, seedsWith, wallSeconds, cpuSeconds, ...plan } = progress;
  const seeds = totals.seeds ?? 0;
  const rates = { seedsPerSecond: seeds / wallSeconds, seedsPerCpuSecond: seeds / cpuSeconds };
  return { ...plan, ...totals, seedsWith, wallSeconds, cpuSeconds, ...rates };
}

function kept(file: string): Progress | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  return JSON.parse(text) as Progress;
}

export function tellBreach(
  seed: number,
  size: Size | null,
  ground: GroundKind,
  { invariant, details, trace }: Told,
): void {
  process.stdout.write(`${JSON.stringify({ seed, size, ground, broken: invariant, details, trace }, null, 2)}\n`);
  const sized = size === null ? '' : ` --hours ${size.hours} --gpus ${size.gpus}`;
  process.stderr.write(
    `seed ${seed} broke '${invariant}'; again: npm run simulate -- --seed ${seed} --ground ${ground}${sized}\n`,
  );
}
