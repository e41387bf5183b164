/** One seed from its beginning to its end. */
import { Breach } from './checks.js';
import { FleetGround, ForgetfulFleet } from './fleet-ground.js';
import { fleetScenario } from './fleet-scenario.js';
import type { Priced } from './grounds.js';
import { poolScenario } from './pool-scenario.js';
import { ForgetfulPools, PoolsGround } from './pools-ground.js';
import type { Bug } from './records.js';
import type { Summary } from './report.js';
import type { Size } from './scenario.js';
import { seedTerms, World } from './world.js';

export interface Run {
  summary: Summary;
  checks: number;
  breach: Breach | null;
}

/** `pools`: a few kinds of alike machines; `fleet`: the real matching core, with requirements. */
export const groundKinds = ['pools', 'fleet'] as const;
export type GroundKind = (typeof groundKinds)[number];

/** Both in turn. */
export const groundOf = (seed: number): GroundKind => (seed % 2 === 0 ? 'fleet' : 'pools');

/** Half of the seeds on each ground. */
export const rebuildsOf = (seed: number): boolean => seed % 4 >= 2;

interface Options {
  bugs?: ReadonlySet<Bug>;
  ground?: GroundKind;
  /** The queue is built anew for each decision. */
  rebuilds?: boolean;
}

export function simulate(
  seed: number,
  size: Size,
  { bugs = new Set(), ground = groundOf(seed), rebuilds = rebuildsOf(seed) }: Options = {},
): Run {
  const forgets = bugs.has('shared-devices');
  const terms = { ...seedTerms, bugs, rebuilds };
  if (ground === 'pools') {
    const scenario = poolScenario(seed, size);
    return run(new World(scenario, new (forgets ? ForgetfulPools : PoolsGround)(scenario.pools), terms));
  }
  const scenario = fleetScenario(seed, size);
  return run(new World(scenario, new (forgets ? ForgetfulFleet : FleetGround)(scenario.nodes), terms));
}

export function run<Request, Placement extends Priced>(world: World<Request, Placement>): Run {
  let breach: Breach | null = null;
  try {
    world.run();
  } catch (error) {
    if (!(error instanceof Breach))
      throw new Error(`seed ${world.scenario.seed} ended in an error at ${world.nowMs} ms`, { cause: error });
    breach = error;
  }
  return { summary: world.tally.summary(), checks: world.checks.made, breach };
}
