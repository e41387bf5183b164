/** One seed from its beginning to its end. */
import { Breach } from './checks.js';
import { ForgetfulGround, PoolsGround, type SimulatedGround } from './grounds.js';
import type { Tally } from './report.js';
import { type Size, scenarioOf } from './scenario.js';
import { type Bug, World } from './world.js';

export interface Run {
  summary: ReturnType<Tally['summary']>;
  checks: number;
  breach: Breach | null;
}

export function simulate(
  seed: number,
  size: Size,
  bugs: ReadonlySet<Bug> = new Set(),
  ground: () => SimulatedGround = () => (bugs.has('shared-devices') ? new ForgetfulGround() : new PoolsGround()),
): Run {
  const world = new World(scenarioOf(seed, size), ground(), bugs);
  let breach: Breach | null = null;
  try {
    world.run();
  } catch (error) {
    if (!(error instanceof Breach))
      throw new Error(`seed ${seed} ended in an error at ${world.nowMs} ms`, { cause: error });
    breach = error;
  }
  return { summary: world.tally.summary(), checks: world.checks.made, breach };
}
